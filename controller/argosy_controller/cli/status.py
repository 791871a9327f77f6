"""`controller status`."""

from __future__ import annotations

import click

from argosy_controller.cli.shell import Session, controller_options


@click.command(epilog="\b\nExample:\n  controller status --data ./fleet")
@controller_options
def status(session: Session) -> None:
    """Show whether a controller runs and how its fleet is."""
    with session.client() as client:
        found = client.get("/status")
    session.show(
        found,
        lambda console: console.print(
            f"Argosy {found['version']}: {found['devices_online']} of {found['devices']} devices online, "
            f"{found['rollouts_running']} rollouts running, broker {found['broker']} {'up' if found['broker_up'] else 'DOWN'}"
        ),
    )
