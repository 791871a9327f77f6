"""`controller zoo`."""

from __future__ import annotations

import click

from argosy_controller.cli.shell import Session, controller_options, plain


@click.command(epilog="\b\nExamples:\n  controller zoo\n  controller build zoo:lenet-5 --out ./lenet-bundle")
@controller_options
def zoo(session: Session) -> None:
    """List the reference models that can be built by name.

    Each is a small task with a recipe: `controller build zoo:NAME` trains it in a minute or two, and needs no file for it.
    """
    from argosy_controller.zoo import names, summary

    listed = [{"name": name, "summary": summary(name)} for name in names()]
    width = max(len(one["name"]) for one in listed)
    lines = [f"zoo:{one['name']:<{width}}  {plain(one['summary'])}" for one in listed]
    session.show(listed, lambda console: console.print("\n".join(lines)))
