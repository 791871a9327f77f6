"""`controller builds`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy import errors
from argosy.errors import ArgosyError, Conflict, Unavailable
from argosy_controller.cli.shell import Session, controller_options, plain
from argosy_controller.views.format import as_age, as_duration

if TYPE_CHECKING:
    from rich.console import Console

_POLL_S = 0.5
#: A controller that is started again answers after some seconds.
_PATIENCE_S = 60.0
_NUMBER = click.argument("number", type=click.IntRange(min=1), metavar="NUMBER")
_KINDS = {kind.kind: kind for kind in (errors.InvalidInput, errors.NotFound, errors.Conflict, errors.Unavailable, errors.GoalsNotMet)}


@click.group()
def builds() -> None:
    """List, show, follow and cancel builds that run on the controller.

    \b
    Example:
      controller build examples/digits --recipe examples/digits/recipe.toml --on-controller
    """


@builds.command("list", epilog="\b\nExample:\n  controller builds list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, at most.")
@controller_options
def list_builds(session: Session, limit: int) -> None:
    """List builds, newest first."""
    with session.client() as client:
        found = client.get("/builds", limit=limit)
    session.show(found, lambda console: _draw_list(console, found))


@builds.command(epilog="\b\nExample:\n  controller builds show 3 --wait")
@_NUMBER
@click.option("--wait", is_flag=True, help="Follow it to its end; the exit code says how it ended.")
@controller_options
def show(session: Session, number: int, wait: bool) -> None:
    """Show a build: its state, how far it is, what it made."""
    found = follow(session, number) if wait else _look(session, number)
    session.show(found, lambda console: draw_build(console, found))


@builds.command(epilog="\b\nExample:\n  controller builds cancel 3")
@_NUMBER
@controller_options
def cancel(session: Session, number: int) -> None:
    """End a build; nothing of it is registered."""
    with session.client() as client:
        found = client.post(f"/builds/{number}/cancel")
    session.show(found, lambda console: draw_build(console, found))


@builds.command(epilog="\b\nExample:\n  controller builds log 3")
@_NUMBER
@controller_options
def log(session: Session, number: int) -> None:
    """Print the end of what a build printed."""
    with session.client() as client:
        found = client.get(f"/builds/{number}/log")
    session.show(found, lambda _: click.echo("\n".join(_printable(line) for line in found["text"].splitlines())))


@builds.command(
    epilog="\b\nExamples:\n  controller builds fetch 3 --out ./bundle\n  controller builds fetch 3 --publisher-key publisher.pem"
)
@_NUMBER
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the files (new or empty).")
@click.option("--publisher-key", metavar="FILE|URI", help="Sign what was fetched with this key, and register it.")
@controller_options
def fetch(session: Session, number: int, out: Path | None, publisher_key: str | None) -> None:
    """Fetch what a build made, to sign and register it here.

    For controllers that hold no publisher key: they keep what they built until its publisher fetches it.
    """
    import tempfile

    from argosy_controller.cli.models import draw_version
    from argosy_controller.cli.publish import described, publish

    if out is None and publisher_key is None:
        raise errors.InvalidInput("name the folder for the files with --out, or the key that signs them with --publisher-key")
    with tempfile.TemporaryDirectory(prefix="argosy-fetch-") as temporary, session.client() as client:
        _check_fetchable(client.get(f"/builds/{number}"))
        folder = out or Path(temporary) / "bundle"
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(f"{folder} is there already: name a new or an empty folder with --out")
        for one in client.get(f"/builds/{number}/files"):
            client.download(f"/builds/{number}/files/{one['path']}", folder / one["path"], one["bytes"])
        made = described(folder) if publisher_key is None else publish(client, folder, publisher_key)
    if publisher_key is None:
        session.show(made, lambda console: console.print(f"Report and variants lie in {folder}"))
    else:
        session.show(made, lambda console: draw_version(console, made))


def _check_fetchable(one: dict[str, Any]) -> None:
    if one["version"]:
        raise Conflict(
            f"build {one['build']} is registered as {one['model']}@{one['version']}: see 'controller models show {one['model']}'"
        )
    if not one["fetchable"]:
        raise Conflict(f"build {one['build']} is {one['state']}: only what a finished build made can be fetched")


def follow(session: Session, number: int) -> Any:
    """Shows a build's progress until it ends, also across a restart of the controller.

    Raises:
        ArgosyError: it failed or was cancelled, with its reason; the kind is that of its error.
    """
    from argosy_controller.cli.progress import following
    from argosy_controller.pipeline.processes.messages import Progress

    found = _look(session, number)
    with following(f"build {number} on the controller (Ctrl-C leaves it running)") as on_progress:
        while found["state"] in ("queued", "running"):
            if found["state"] == "queued":
                on_progress(Progress(stage="waiting for its turn", done=0, total=1))
            elif found["total"]:
                on_progress(Progress(stage=found["stage"], done=found["done"], total=found["total"]))
            time.sleep(_POLL_S)
            found = _look_patiently(session, number)
    if found["state"] == "succeeded":
        return found
    if found["state"] == "cancelled":
        raise Conflict(f"build {number} was {found['reason'] or 'cancelled'}: nothing was registered")
    raise _KINDS.get(found["error"], ArgosyError)(found["reason"])


def _look(session: Session, number: int) -> dict[str, Any]:
    with session.client() as client:
        found: dict[str, Any] = client.get(f"/builds/{number}")
        return found


def _look_patiently(session: Session, number: int) -> dict[str, Any]:
    given_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < given_up:
        with contextlib.suppress(Unavailable):
            return _look(session, number)
        time.sleep(_POLL_S)
    return _look(session, number)


def _draw_list(console: Console, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not found:
        console.print("No build. Start one with 'controller build TASK --recipe FILE --on-controller'.")
        return
    table = Table("build", "task", "recipe", "state", "progress", "made", "queued", box=None, header_style="bold", pad_edge=False)
    for one in found:
        row = (str(one["build"]), plain(one["task"]), plain(one["recipe"]), one["state"], plain(progress_text(one)))
        table.add_row(*row, plain(_made(one)), as_age(one["created"], time.time()))
    console.print(table)


def draw_build(console: Console, one: dict[str, Any]) -> None:
    """One build for people."""
    console.print(f"Build {one['build']}: task {plain(one['task'])}, recipe {plain(one['recipe'])}: [bold]{one['state']}[/bold]")
    if one["reason"]:
        console.print(f"  {plain(one['reason'])}")
    if one["state"] == "running":
        console.print(f"  {plain(progress_text(one))}")
    if one["version"]:
        version = f"{plain(one['model'])}@{one['version']}"
        console.print(f"Registered [bold]{version}[/bold]\nBring it to devices:  controller rollouts start {version} --to '*' --wait")


def progress_text(one: dict[str, Any]) -> str:
    """How far a running build is: `train 12 of 30, 40 s left`."""
    if one["state"] != "running" or not one["total"]:
        return ""
    left = "" if one["left_s"] is None else f", {as_duration(one['left_s'])} left"
    return f"{one['stage']} {one['done']} of {one['total']}{left}"


def _made(one: dict[str, Any]) -> str:
    return f"{one['model']}@{one['version']}" if one["version"] else "kept for its publisher" if one["fetchable"] else ""


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
