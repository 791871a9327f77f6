"""`controller events`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from argosy_controller.cli.shell import Session, controller_options, plain

if TYPE_CHECKING:
    from rich.console import Console

    from argosy_controller.cli.client import Client


@click.command(epilog="\b\nExamples:\n  controller events --device pi-7\n  controller events --follow")
@click.option("--device", help="Only of this device.")
@click.option("--kind", help="Only of this kind, for example refused.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--follow", is_flag=True, help="Wait for more until Ctrl-C; with --json one document a line.")
@controller_options
def events(session: Session, device: str | None, kind: str | None, limit: int, follow: bool) -> None:
    """Show what happened, newest last."""
    with session.client() as client:
        found = client.get("/events", device=device, kind=kind, limit=limit)
        if follow:
            return _follow(session, client, found, {"device": device, "kind": kind})
    session.show(found, lambda console: _draw(console, found))


def _follow(session: Session, client: Client, found: list[dict[str, Any]], only: dict[str, str | None]) -> None:
    after = 0
    while True:
        for event in found:
            after = max(after, event["id"])
            session.show(event, partial(_draw, found=[event]))
        time.sleep(1.0)
        found = client.get("/events", after=after, limit=1000, **only)


def _draw(console: Console, found: list[dict[str, Any]]) -> None:
    for event in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event["at"]))
        about = " ".join(part for part in (event["device"] or "controller", event["slot"]) if part)
        console.print(f"[dim]{at}[/dim]  [bold]{plain(event['kind']):16}[/bold] {plain(about):24} {plain(event['text'])}")
