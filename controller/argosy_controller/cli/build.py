"""`controller build`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy_controller.cli.arguments import TaskFolder
from argosy_controller.cli.shell import Session, controller_options
from argosy_controller.pipeline.recipes import RECIPE_FILE

if TYPE_CHECKING:
    from rich.console import Console

_PATH = click.Path(path_type=Path)
_EXAMPLES = """\b
Examples:
  controller build examples/digits --recipe examples/digits/recipe.toml --seed 7
  controller build examples/digits --recipe examples/digits/recipe.toml --out ./digits-bundle
  controller build examples/digits --recipe examples/digits/recipe.toml --on-controller
  controller build zoo:lenet-5 --out ./lenet-bundle"""


@dataclass(frozen=True)
class Wish:
    """What is to be built, as it was asked for."""

    task: Path
    recipe: Path
    model: str | None
    settings: dict[str, str]
    seed: int
    cached: bool
    trained: Path | None = None
    trust_pickle: bool = False


@click.command(epilog=_EXAMPLES)
@click.argument("task", type=TaskFolder())
@click.option("--recipe", type=_PATH, metavar="FILE", help="Passes, variants and goals (TOML); default: recipe.toml in the task's folder.")
@click.option("--out", type=_PATH, metavar="DIR", help="Register nothing, write report and variants here; no controller is needed.")
@click.option("--keep", type=_PATH, metavar="DIR", help="Register the version, and keep report and variants here as well.")
@click.option("--on-controller", is_flag=True, help="Upload task and recipe, and have the controller build it; needs role admin.")
@click.option("--detach", is_flag=True, help="With --on-controller: do not wait for the end.")
@click.option("--model", metavar="NAME", help="Build under this name instead of the task's own.")
@click.option(
    "--mnist", type=_PATH, metavar="DIR", help="Folder with the full MNIST, for tasks that can use it; the same as --set mnist=DIR."
)
@click.option(
    "--from", "trained", type=_PATH, metavar="FILE", help="A trained model in place of training: safetensors, .pt2, TorchScript, ONNX."
)
@click.option("--trust-pickle", is_flag=True, help="Open --from also if it is a Python pickle (.pth), which can run any code.")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="A setting of the task; repeatable.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--publisher-key", metavar="FILE|URI", help="Sign with this key here, instead of the controller's (lab mode).")
@click.option("--no-cache", is_flag=True, help="Compute everything again, also what lies in ARGOSY_CACHE (else ~/.cache/argosy).")
@click.option("--no-register", is_flag=True, hidden=True)
@controller_options
def build(
    session: Session,
    task: Path,
    recipe: Path | None,
    out: Path | None,
    keep: Path | None,
    on_controller: bool,
    detach: bool,
    model: str | None,
    mnist: Path | None,
    trained: Path | None,
    trust_pickle: bool,
    settings: tuple[str, ...],
    seed: int,
    publisher_key: str | None,
    no_cache: bool,
    no_register: bool,
) -> None:
    """Build a model's variants from a task, and register them as a version.

    TASK is a folder with a task.py, or zoo:NAME, one of the models that `controller zoo` lists. The task's model is trained or
    loaded, compressed, converted and measured as the recipe says; with --out nothing is registered. What was computed before from
    the same inputs is not computed again.

    With --on-controller the task's Python runs as the controller's own user; paths in settings are of that machine.

    A goal of the recipe that is not met stops it with a table that says which and by how much (exit code 10).
    """
    _check_together(out, keep, on_controller, detach, publisher_key, no_register)
    if model is not None:
        check_name("model", model)
    wish = Wish(task, recipe or task / RECIPE_FILE, model, task_settings(settings, mnist), seed, not no_cache, trained, trust_pickle)
    if trained is not None and on_controller:
        raise InvalidInput("--from goes not with --on-controller: put the weights into the task's folder and load them in model()")
    if on_controller:
        return _queue(session, wish, detach)
    if out is not None:
        return _only_build(session, wish, out)
    return _register(session, wish, keep, publisher_key)


def _check_together(out: Path | None, keep: Path | None, remote: bool, detach: bool, key: str | None, no_register: bool) -> None:
    if no_register and out is None:
        raise InvalidInput("--no-register needs --out: name the folder in which the bundle is kept")
    if out is not None and (keep is not None or key is not None):
        raise InvalidInput("--out registers nothing, so it goes neither with --keep nor with --publisher-key: use --keep to do both")
    if remote and (out is not None or keep is not None or key is not None):
        raise InvalidInput(
            "--on-controller builds elsewhere: fetch what it made with 'controller builds fetch', which takes --publisher-key"
        )
    if detach and not remote:
        raise InvalidInput("--detach goes with --on-controller only")


def _only_build(session: Session, wish: Wish, out: Path) -> None:
    from argosy_controller.cli.publish import described

    made = described(_built(wish, out))
    session.show(made, lambda console: _draw_report(console, out))


def _draw_report(console: Console, out: Path) -> None:
    """The figures that decide, and where all others are."""
    from rich.table import Table

    from argosy_controller.pipeline.report import REPORT_FILE, read_report
    from argosy_controller.views.format import as_bytes, as_latency, as_metric

    report = read_report((out / REPORT_FILE).read_bytes())
    metric = next((one.accuracy.metric for one in report.variants if one.accuracy), "accuracy")
    table = Table("variant", metric, "95 % interval", "bytes", "p50", box=None, header_style="bold", pad_edge=False)
    for one in report.variants:
        found, time = one.accuracy, one.timings[0] if one.timings else None
        table.add_row(
            one.name,
            as_metric(metric, found.value) if found else "not measured here",
            f"{as_metric(metric, found.low)} to {as_metric(metric, found.high)}" if found else "–",
            as_bytes(one.bytes),
            as_latency(time.p50_us * 1000) if time else "–",
        )
    console.print(table)
    console.print(f"Why, and at what cost: {out / 'report.html'}")


def _register(session: Session, wish: Wish, keep: Path | None, publisher_key: str | None) -> None:
    from argosy_controller.cli.models import draw_version
    from argosy_controller.cli.publish import publish

    # Found first: a build of minutes must not end with "no controller runs".
    with _folder(keep) as folder, session.client() as client:
        client.get("/status")
        version = publish(client, _built(wish, folder), publisher_key)
    session.show(version, lambda console: draw_version(console, version))


def _built(wish: Wish, folder: Path) -> Path:
    from argosy_controller.cli.progress import following
    from argosy_controller.pipeline.build import run_build
    from argosy_controller.pipeline.caching.cache import default_folder

    cache = default_folder(os.environ) if wish.cached else None
    with following(f"build {wish.task.name}") as on_progress:
        return run_build(
            wish.task,
            wish.recipe,
            folder,
            wish.model,
            wish.settings,
            wish.seed,
            on_progress,
            cache=cache,
            trained=wish.trained,
            trust_pickle=wish.trust_pickle,
        )


def _queue(session: Session, wish: Wish, detach: bool) -> None:
    from argosy_controller.cli.builds import draw_build, follow
    from argosy_controller.cli.remote_build import send

    queued: dict[str, Any] = send(session, wish)
    made = queued if detach else follow(session, queued["build"])
    session.show(made, lambda console: draw_build(console, made))


def task_settings(settings: tuple[str, ...], mnist: Path | None = None) -> dict[str, str]:
    """What `--set` and `--mnist` gave, by name."""
    values = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set {text!r:.80} has no '=': write it as KEY=VALUE")
        values[key] = value
    if mnist is not None:
        values["mnist"] = str(mnist.absolute())
    return values


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="argosy-build-") as temporary:
        yield Path(temporary) / "bundle"
