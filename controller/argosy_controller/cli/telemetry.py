"""`controller telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from argosy.names import parse_version
from argosy_controller.cli.arguments import Duration
from argosy_controller.cli.shell import Session, controller_options
from argosy_controller.views.format import as_latency

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog="\b\nExamples:\n  controller telemetry digits@2\n  controller telemetry digits@2 --by device --since 1h")
@click.argument("version", metavar="[MODEL@VERSION]", required=False)
@click.option("--by", type=click.Choice(["version", "variant", "device"]), default="variant", show_default=True, help="One line for each.")
@click.option("--device", help="Only of this device.")
@click.option("--since", type=Duration(), help="Only windows that began in this time, for example 1h.")
@controller_options
def telemetry(session: Session, version: str | None, by: str, device: str | None, since: float | None) -> None:
    """Show latency percentiles as devices measured them."""
    model, number = parse_version(version) if version else (None, None)
    with session.client() as client:
        found = client.get("/telemetry", model=model, version=number, by=by, device=device, since_s=since)
    session.show(found, lambda console: _draw(console, found))


def _draw(console: Console, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not found:
        console.print("Nothing was measured yet: devices report once a window, after requests were served.")
        return
    table = Table("version", "variant", "device", "requests", "errors", "p50", "p95", "p99", box=None, header_style="bold", pad_edge=False)
    for one in found:
        table.add_row(
            f"{one['model']}@{one['version']}",
            one["variant"] or "all",
            one["device"] or "all",
            f"{one['requests']:,}",
            f"{one['errors']:,}",
            *(as_latency(one[key]) for key in ("p50_ns", "p95_ns", "p99_ns")),
        )
    console.print(table)
