"""`controller rollouts`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from argosy.errors import Unavailable
from argosy.names import check_name, parse_version
from argosy.selectors import parse_selector
from argosy_controller.cli.arguments import Duration, Stages
from argosy_controller.cli.shell import Session, controller_options, plain
from argosy_controller.views.format import as_age

if TYPE_CHECKING:
    from rich.console import Console

STOPPED = 3
_POLL_S = 0.5
#: How long a controller may be away while somebody waits, seconds.
_PATIENCE_S = 60.0


@click.group()
def rollouts() -> None:
    """Bring a version to devices, in stages.

    \b
    Example:
      controller rollouts start digits@2 --to 'site=lab' --stages 25%,100% --wait
    """


@rollouts.command(epilog="\b\nExample:\n  controller rollouts start digits@2 --to 'site=lab,!retired' --stages 25%,100% --wait")
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--to", "selector", required=True, metavar="SELECTOR", help="Which devices: site=lab, tier in (a,b), !gpu, or *.")
@click.option("--slot", help="Slot on the devices [default: the model's name].")
@click.option("--stages", type=Stages(), default="100%", show_default=True, help="Cumulative shares of the devices.")
@click.option(
    "--deadline", type=Duration(), default="10m", show_default=True, help="How long a device may be silent before it counts as lost."
)
@click.option("--health-window", type=Duration(), default="10s", show_default=True, help="How long a device watches the new version.")
@click.option("--wait", is_flag=True, help="Wait for the end: 0 every online device has confirmed, 3 paused or aborted.")
@controller_options
def start(
    session: Session,
    version: str,
    selector: str,
    slot: str | None,
    stages: list[float],
    deadline: float,
    health_window: float,
    wait: bool,
) -> int:
    """Start bringing a version to the devices that a selector names."""
    model, number = parse_version(version)
    parse_selector(selector)
    body = {
        "model": model,
        "version": number,
        "selector": selector,
        "slot": check_name("slot", slot if slot is not None else model),
        "stages": stages,
        "deadline_s": deadline,
        "health_window_s": health_window,
    }
    with session.client() as client:
        rollout = client.post("/rollouts", body)
    if wait:
        rollout = _wait(session, rollout)
    session.show(rollout, lambda console: draw_rollout(console, rollout))
    return _exit_code(rollout) if wait else 0


@rollouts.command("list", epilog="\b\nExample:\n  controller rollouts list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@controller_options
def list_rollouts(session: Session, limit: int) -> None:
    """List rollouts, newest first."""
    with session.client() as client:
        found = client.get("/rollouts", limit=limit)
    session.show(found, lambda console: _draw_list(console, found))


@rollouts.command(epilog="\b\nExample:\n  controller rollouts show 3 --wait")
@click.argument("rollout", type=int)
@click.option("--wait", is_flag=True, help="Wait for the end first; exit codes as for start.")
@controller_options
def show(session: Session, rollout: int, wait: bool) -> int:
    """Show one rollout and the devices in it."""
    with session.client() as client:
        found = client.get(f"/rollouts/{rollout}")
    if wait:
        found = _wait(session, found)
    session.show(found, lambda console: draw_rollout(console, found))
    return _exit_code(found) if wait else 0


def _command(name: str, sentence: str) -> None:
    """Adds a command that changes a rollout's state."""

    @rollouts.command(name, help=sentence, epilog=f"\b\nExample:\n  controller rollouts {name} 3")
    @click.argument("rollout", type=int)
    @controller_options
    def change(session: Session, rollout: int) -> None:
        with session.client() as client:
            found = client.post(f"/rollouts/{rollout}/{name}")
        session.show(found, lambda console: draw_rollout(console, found))


_command("pause", "Stop telling further devices until resumed.")
_command("resume", "Go on with a paused rollout.")
_command("abort", "Stop for good; devices that have not confirmed are told to go back.")


def _exit_code(rollout: dict[str, Any]) -> int:
    return STOPPED if rollout["state"] in ("paused", "aborted") else 0


def _wait(session: Session, rollout: dict[str, Any]) -> dict[str, Any]:
    """Follows a rollout until it ends or needs an operator."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    title = f"{rollout['model']}@{rollout['version']} to {rollout['selector']}"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[reason]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None, reason="")
        while rollout["state"] == "running":
            bars.update(
                task, completed=rollout["counts"]["confirmed"], total=max(1, rollout["devices_total"]), reason=plain(rollout["reason"][:60])
            )
            time.sleep(_POLL_S)
            rollout = _look_again(session, rollout["rollout"])
    return rollout


def _look_again(session: Session, number: int) -> dict[str, Any]:
    """A controller that is restarted meanwhile is waited for, and found again: it may answer at another port.

    Raises:
        Unavailable: it did not come back.
    """
    given_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < given_up:
        with contextlib.suppress(Unavailable):
            return _look(session, number)
        time.sleep(_POLL_S)
    return _look(session, number)


def _look(session: Session, number: int) -> dict[str, Any]:
    with session.client() as client:
        found: dict[str, Any] = client.get(f"/rollouts/{number}")
        return found


def _draw_list(console: Console, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not found:
        console.print("No rollout yet. Start one with 'controller rollouts start MODEL@VERSION --to SELECTOR'.")
        return
    table = Table(
        "rollout", "version", "to", "slot", "state", "stage", "confirmed", "started", box=None, header_style="bold", pad_edge=False
    )
    for one in found:
        table.add_row(
            str(one["rollout"]),
            f"{one['model']}@{one['version']}",
            one["selector"],
            one["slot"],
            one["state"],
            f"{one['stage']} of {len(one['stages'])}",
            f"{one['counts']['confirmed']} of {one['devices_total']}",
            as_age(one["created"], time.time()),
        )
    console.print(table)


def draw_rollout(console: Console, rollout: dict[str, Any]) -> None:
    """One rollout for people."""
    from rich.table import Table

    console.print(
        f"Rollout {rollout['rollout']}: [bold]{rollout['model']}@{rollout['version']}[/bold] to {plain(rollout['selector'])}: [bold]{rollout['state']}[/bold]"
    )
    if rollout["reason"]:
        console.print(f"  {plain(rollout['reason'])}")
    if not rollout["devices"]:
        return
    table = Table("device", "stage", "state", "variant", "why", box=None, header_style="bold", pad_edge=False)
    for one in rollout["devices"]:
        table.add_row(one["device"], str(one["stage"]), one["state"].replace("_", " "), one["variant"], plain(one["reason"]))
    console.print(table)
