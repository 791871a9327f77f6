"""`controller models`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy.names import check_name
from argosy_controller.cli.shell import Session, controller_options
from argosy_controller.views.format import as_bytes, as_latency, as_metric

if TYPE_CHECKING:
    from rich.console import Console

_FILE = click.Path(path_type=Path)


@click.group()
def models() -> None:
    """List, show and import models.

    \b
    Example:
      controller models import digits model.onnx --sample inputs.npz --with labels.txt
    """


@models.command("list", epilog="\b\nExample:\n  controller models list")
@controller_options
def list_models(session: Session) -> None:
    """List models with their newest version."""
    with session.client() as client:
        found = client.get("/models")
    session.show(found, lambda console: _draw_list(console, found))


@models.command(epilog="\b\nExample:\n  controller models show digits")
@click.argument("model")
@controller_options
def show(session: Session, model: str) -> None:
    """Show a model's versions and variants: accuracy, bytes, latency."""
    with session.client() as client:
        found = client.get(f"/models/{check_name('model', model)}")
    session.show(found, lambda console: _draw_versions(console, found))


@models.command("import", epilog="\b\nExample:\n  controller models import digits model.onnx --sample inputs.npz --with labels.txt")
@click.argument("name")
@click.argument("file", type=_FILE)
@click.option("--sample", type=_FILE, metavar="NPZ", help="Real inputs, one array per input name; needed unless all inputs are floats.")
@click.option("--with", "companions", type=_FILE, multiple=True, metavar="FILE", help="A file that travels with the model; repeatable.")
@click.option("--publisher-key", metavar="FILE|URI", help="Sign with this key here, instead of the controller's (lab mode).")
@controller_options
def import_model(
    session: Session, name: str, file: Path, sample: Path | None, companions: tuple[Path, ...], publisher_key: str | None
) -> None:
    """Register a ready ONNX or TFLite file as the next version of model NAME.

    The file is opened only in a child process with limits; its answers to the sample become its golden probes.
    """
    from argosy_controller.cli.progress import following
    from argosy_controller.cli.publish import publish
    from argosy_controller.pipeline.importing import run_import

    check_name("model", name)
    with session.client() as client, tempfile.TemporaryDirectory(prefix="argosy-import-") as temporary:
        with following(f"import {file.name}") as on_progress:
            bundle = run_import(name, file, sample, companions, Path(temporary) / "bundle", on_progress)
        version = publish(client, bundle, publisher_key)
    session.show(version, lambda console: draw_version(console, version))


def draw_version(console: Console, version: dict[str, Any]) -> None:
    """Says what was registered."""
    from rich.table import Table

    console.print(f"Registered [bold]{version['model']}@{version['version']}[/bold]")
    table = Table("variant", "format", "precision", "bytes", "sha256", box=None, header_style="bold", pad_edge=False)
    for one in version["variants"]:
        table.add_row(one["name"], one["format"], one["precision"], as_bytes(one["bytes"]), one["sha256"][:16])
    console.print(table)
    console.print(f"Bring it to devices:  controller rollouts start {version['model']}@{version['version']} --to '*' --wait")


def _draw_list(console: Console, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not found:
        console.print("No model. Bring one in with 'controller models import' or 'controller build'.")
        return
    table = Table("model", "newest", "versions", "variants of the newest", box=None, header_style="bold", pad_edge=False)
    for one in found:
        table.add_row(one["model"], f"@{one['newest']}", str(one["versions"]), ", ".join(one["variants"]))
    console.print(table)


def _draw_versions(console: Console, found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(
        "version", "variant", "accuracy", "95 % interval", "bytes", "p50", "sha256", box=None, header_style="bold", pad_edge=False
    )
    for version in found["versions"]:
        for one in version["variants"]:
            accuracy = one["accuracy"]
            table.add_row(
                f"{found['model']}@{version['version']}",
                one["name"],
                "–" if accuracy is None else as_metric(accuracy["metric"], accuracy["value"]),
                "–" if accuracy is None else " to ".join(as_metric(accuracy["metric"], accuracy[end]) for end in ("low", "high")),
                as_bytes(one["bytes"]),
                as_latency(one["timings"][0]["p50_us"] * 1000 if one["timings"] else None),
                one["sha256"][:16],
            )
    console.print(table)
