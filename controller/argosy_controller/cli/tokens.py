"""`controller tokens`."""

from __future__ import annotations

import click

from argosy.names import parse_label
from argosy_controller.cli.arguments import Duration
from argosy_controller.cli.shell import Session, controller_options


@click.group()
def tokens() -> None:
    """Make lines with which devices enrol.

    \b
    Example:
      controller tokens create --label site=lab --uses 4 --expires 24h
    """


@tokens.command(epilog="\b\nExample:\n  controller tokens create --label site=lab --label tier=canary --uses 4 --expires 24h")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label of the devices that enrol with it; repeatable.")
@click.option("--uses", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many devices may enrol with it.")
@click.option("--expires", type=Duration(), default="24h", show_default=True, help="How long it is good for.")
@controller_options
def create(session: Session, labels: tuple[str, ...], uses: int, expires: float) -> None:
    """Print ONE line to paste on a device: agent enrol '<that line>'."""
    parsed = dict(parse_label(text) for text in labels)
    with session.client() as client:
        token = client.post("/tokens", {"labels": parsed, "uses": uses, "expires_s": expires})
    # Only the line on stdout, so that it can be piped; what it is goes beside it.
    session.show(token, lambda console: click.echo(token["line"]))
