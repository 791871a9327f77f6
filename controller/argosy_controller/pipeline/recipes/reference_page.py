"""docs/reference-passes.md, written from the registries by `make reference`, which is `controller recipes --markdown`."""

from __future__ import annotations

from collections.abc import Iterable

from argosy_controller.pipeline.recipes.reference import Entry, Option, example, taken, toml

_HEAD = """# Passes, variants, goals and search

What a recipe can hold. Written by `controller recipes --markdown`; do not edit. `controller recipes NAME` prints
the same in a terminal, `controller recipes suggest TASK` writes a first recipe for a task. The examples show every option at its
default: write down only what you change.
"""
_TRAINING = """## Options of everything that trains

Passes that say so take these beside their own.
"""


def markdown(entries: Iterable[Entry]) -> str:
    """The whole page."""
    listed = list(entries)
    parts = [_HEAD, *_contents(listed)]
    shared = next(([option for option in one.options if option.shared] for one in listed if one.name == "finetune"), [])
    parts += ["## Passes\n", *(_section(one) for one in listed if one.kind == "pass")]
    parts += [_TRAINING, *_table(shared)]
    parts += ["## Variants\n", *(_section(one) for one in listed if one.kind == "variant")]
    parts += ["## Tables\n", *(_section(one) for one in listed if one.kind == "table")]
    return "\n".join(parts).rstrip() + "\n"


def _contents(entries: list[Entry]) -> list[str]:
    rows = [f"| [{one.name}](#{one.name}) | {_kind(one)} | {_cell(one.what)} |" for one in entries]
    return ["| name | is a | what it does |", "| --- | --- | --- |", *rows, ""]


def _kind(one: Entry) -> str:
    return f"{one.kind} on {', '.join(one.takes)}" if one.takes else one.kind


def _section(one: Entry) -> str:
    own = [option for option in one.options if not option.shared]
    lines = [f"### {one.name}\n", f"{one.what}\n"]
    lines += [f"{one.more}\n"] if one.more else []
    lines += [f"Changes {taken(one)}.\n"] if one.takes else []
    lines += [f"Source: {one.paper}.\n"] if one.paper else []
    lines += _table(own)
    if len(own) < len(one.options):
        also = "It also takes" if own else "It takes"
        lines += [f"{also} the [options of everything that trains](#options-of-everything-that-trains){_other_defaults(one)}.\n"]
    if one.kind == "table":
        return "\n".join(lines)
    lines += [f"```toml\n{example(one)}\n```\n"]
    return "\n".join(lines)


def _other_defaults(one: Entry) -> str:
    """A pass may choose other defaults for the shared options: then the page must say so."""
    from argosy_controller.pipeline.options import TrainingConfig

    usual = TrainingConfig()
    other = [
        f"`{option.name} = {toml(option.default)}`"
        for option in one.options
        if option.shared and option.default != getattr(usual, option.name)
    ]
    return f", with {', '.join(other)}" if other else ""


def _table(options: list[Option]) -> list[str]:
    if not options:
        return []
    return ["| option | default | allowed | meaning |", "| --- | --- | --- | --- |", *(_row(one) for one in options), ""]


def _row(one: Option) -> str:
    default = "–" if one.default is None else f"`{toml(one.default)}`"
    meaning = f"{one.description} [{one.unit}]" if one.unit else one.description
    return f"| `{one.name}` | {default} | {_cell(allowed(one))} | {_cell(meaning)} |"


def allowed(one: Option) -> str:
    """What an option takes: its choices, else its kind and range."""
    if one.choices:
        some = ", ".join(str(choice) for choice in one.choices)
        return f"some of {some}" if one.kind.startswith("list") else some
    return f"{one.kind}, {one.range}" if one.range else one.kind


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
