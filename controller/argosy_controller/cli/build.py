"""`controller build`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy_controller.cli.shell import Session, controller_options

_PATH = click.Path(path_type=Path)


@click.command(epilog="\b\nExample:\n  controller build examples/digits --recipe examples/digits/recipe.toml --seed 7")
@click.argument("task", type=_PATH)
@click.option("--recipe", type=_PATH, required=True, metavar="FILE", help="Passes, variants and goals (TOML).")
@click.option("--out", type=_PATH, metavar="DIR", help="Keep the bundle here (a new or empty folder).")
@click.option("--model", metavar="NAME", help="Register under this name instead of the task's own.")
@click.option(
    "--mnist", type=_PATH, metavar="DIR", help="Folder with the full MNIST, for tasks that can use it; the same as --set mnist=DIR."
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="A setting of the task; repeatable.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--publisher-key", metavar="FILE|URI", help="Sign with this key here, instead of the controller's (lab mode).")
@click.option("--no-register", is_flag=True, help="Only make the bundle in --out; no controller is needed.")
@controller_options
def build(
    session: Session,
    task: Path,
    recipe: Path,
    out: Path | None,
    model: str | None,
    mnist: Path | None,
    settings: tuple[str, ...],
    seed: int,
    publisher_key: str | None,
    no_register: bool,
) -> None:
    """Build a model's variants from a task, and register them as a version.

    The task's model is trained or loaded, compressed, converted and measured as the recipe says.

    A goal of the recipe that is not met stops it with a table that says which and by how much (exit code 10).
    """
    from argosy_controller.cli.models import draw_version
    from argosy_controller.cli.progress import following
    from argosy_controller.cli.publish import described, publish
    from argosy_controller.pipeline.build import run_build

    if no_register and out is None:
        raise InvalidInput("--no-register needs --out: name the folder in which the bundle is kept")
    if model is not None:
        check_name("model", model)
    values = _settings(settings, mnist)
    with _folder(out) as folder:
        if no_register:
            with following(f"build {task.name}") as on_progress:
                made = described(run_build(task, recipe, folder, model, values, seed, on_progress))
            return session.show(made, lambda console: console.print(f"The bundle lies in {folder}"))
        # Found first: a build of minutes must not end with "no controller runs".
        with session.client() as client:
            client.get("/status")
            with following(f"build {task.name}") as on_progress:
                bundle = run_build(task, recipe, folder, model, values, seed, on_progress)
            version = publish(client, bundle, publisher_key)
    session.show(version, lambda console: draw_version(console, version))


def _settings(settings: tuple[str, ...], mnist: Path | None) -> dict[str, str]:
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
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="argosy-build-") as temporary:
        yield Path(temporary) / "bundle"
