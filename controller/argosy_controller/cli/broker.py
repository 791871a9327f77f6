"""`controller broker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from argosy_controller.cli.shell import Session, controller_options

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 8


@click.group()
def broker() -> None:
    """Check how a broker is secured.

    \b
    Example:
      controller broker check mqtts://broker.example.org:8883 --data ./fleet
    """


@broker.command(epilog="\b\nExample:\n  controller broker check mqtts://broker.example.org:8883 --data ./fleet")
@click.argument("url", required=False)
@controller_options
def check(session: Session, url: str | None) -> int:
    """Try every known attack on a broker, with throwaway certificates of this controller's CA.

    Without URL the broker of the running controller is tried. Exit code 8 when an attack got through.
    """
    from rich.console import Console

    from argosy_controller.cli.broker_check import check_from_folder

    with Console(stderr=True).status("trying every known attack; the last one waits up to 100 s for a half-open connection to be cut"):
        findings = check_from_folder(session.data, url)
    session.show(findings, lambda console: _draw(console, findings))
    return 0 if all(one["held"] for one in findings) else FAILED


def _draw(console: Console, findings: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("attack", "held", "what was seen", box=None, header_style="bold", pad_edge=False)
    for one in findings:
        table.add_row(one["attack"], "[green]yes[/green]" if one["held"] else "[red bold]NO[/red bold]", one["detail"])
    console.print(table)
