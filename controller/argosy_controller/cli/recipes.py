"""`controller recipes`: what recipes can name, and a first one for a task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from argosy.errors import Conflict
from argosy_controller.cli.arguments import TaskFolder
from argosy_controller.cli.shell import Session, controller_options, plain

if TYPE_CHECKING:
    from rich.console import Console

    from argosy_controller.pipeline.processes.messages import Aim
    from argosy_controller.pipeline.recipes.reference import Entry, Option


class _ByName(click.Group):
    """`controller recipes NAME` is `controller recipes show NAME`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or `show` for what is none."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_ByName, invoke_without_command=True)
@click.option("--markdown", is_flag=True, help="Print docs/reference-passes.md.")
@controller_options
def recipes(session: Session, markdown: bool) -> None:
    """List passes and variants with their options, and suggest a recipe for a task.

    \b
    Examples:
      controller recipes
      controller recipes prune-channels
      controller recipes suggest examples/digits --for size
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    from argosy_controller.pipeline.recipes.reference import entries
    from argosy_controller.pipeline.recipes.reference_page import markdown as page

    listed = entries()
    if markdown:
        click.echo(page(listed), nl=False)
        return
    session.show(listed, lambda console: _draw_list(console, listed))


@recipes.command(epilog="\b\nExamples:\n  controller recipes show prune-channels\n  controller recipes show onnx-int8 --json")
@click.argument("name")
@controller_options
def show(session: Session, name: str) -> None:
    """Show the options of one pass or variant: defaults, ranges, choices, source paper, an example."""
    from argosy_controller.pipeline.recipes.reference import entry

    found = entry(name)
    session.show(found, lambda console: _draw(console, found))


@recipes.command(
    epilog="\b\nExamples:\n  controller recipes suggest examples/digits\n  controller recipes suggest TASK --for speed --out recipe.toml"
)
@click.argument("task", type=TaskFolder())
@click.option(
    "--for", "aim", type=click.Choice(["size", "speed", "accuracy"]), default="size", show_default=True, help="What matters most."
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="A setting of the task; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it to this new file, not to stdout.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the task's data and model.")
@controller_options
def suggest(session: Session, task: Path, aim: Aim, settings: tuple[str, ...], out: Path | None, seed: int) -> None:
    """Write a first recipe for a task, after a look at its data and model.

    The task's own code runs, in a process of its own; nothing is trained. Each line of the recipe says why it is there.
    """
    from argosy_controller.cli.build import task_settings
    from argosy_controller.cli.progress import following
    from argosy_controller.pipeline.recipes.suggest import run_suggest

    if out is not None and out.exists():
        raise Conflict(f"{out} is there already: name a new file with --out")
    with following(f"look at {task.name}") as on_progress:
        text = run_suggest(task, task_settings(settings), aim, seed, on_progress)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    document = {"task": task.name, "for": aim, "recipe": text, "file": str(out) if out else None}
    session.show(document, lambda console: console.print(f"The recipe lies in {plain(str(out))}") if out else click.echo(text, nl=False))


def _draw_list(console: Console, listed: list[Entry]) -> None:
    width = max(len(one.name) for one in listed)
    for kind, classical, title in (
        ("pass", False, "Passes on networks: [[passes]] use = ..."),
        ("pass", True, "Passes on fitted estimators of scikit-learn"),
        ("variant", False, "Variants: [[variants]] use = ..."),
        ("table", False, "Tables beside them"),
    ):
        console.print(title, style="bold", markup=False)
        for one in listed:
            if one.kind == kind and (one.takes == ["estimator"]) == classical:
                console.print(f"  {one.name:<{width}}  {plain(one.what)}")
    console.print("\nOptions, defaults and papers: controller recipes NAME")


def _draw(console: Console, one: Entry) -> None:
    from argosy_controller.pipeline.recipes.reference import example, taken

    console.print(f"[bold]{one.name}[/bold] ({one.kind}): {plain(one.what)}")
    for text in (one.more, f"Changes {taken(one)}" if one.takes else "", f"Source: {one.paper}" if one.paper else ""):
        if text:
            console.print(plain(text))
    for title, shared in (("Options", False), ("Options of everything that trains", True)):
        options = [option for option in one.options if option.shared is shared]
        if options:
            console.print(f"\n{title}", style="bold")
            console.print(_table(options))
    console.print("\nIn a recipe, all at their defaults: write down only what you change", style="bold")
    console.print(example(one), markup=False)


def _table(options: list[Option]) -> object:
    from rich import box
    from rich.table import Table

    from argosy_controller.pipeline.recipes.reference import toml
    from argosy_controller.pipeline.recipes.reference_page import allowed

    table = Table("option", "default", "allowed", "meaning", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in options:
        default = "-" if one.default is None else toml(one.default)
        table.add_row(
            one.name, plain(default), plain(allowed(one)), plain(f"{one.description} [{one.unit}]" if one.unit else one.description)
        )
    return table
