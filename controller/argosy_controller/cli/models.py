"""`controller models`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from argosy.names import check_name
from argosy_controller.cli.shell import Session, controller_options, plain
from argosy_controller.views import variant_words
from argosy_controller.views.format import as_bytes, as_latency, as_metric
from argosy_controller.views.variant_words import NeedsView, ParityView

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
    """Show a model's versions and variants: accuracy, bytes, latency; parity with the model, and what a device needs."""
    with session.client() as client:
        found = client.get(f"/models/{check_name('model', model)}")
    session.show(found, lambda console: _draw_versions(console, found))


_IMPORTS = """\b
Examples:
  controller models import digits model.onnx --sample inputs.npz --with labels.txt
  controller models import digits model.onnx --sample inputs.npz --variant onnx-fp32 --variant onnx-int8 --variant tflite-int8
  controller models import wine forest.skops --sample rows.npz"""


@models.command("import", epilog=_IMPORTS)
@click.argument("name")
@click.argument("file", type=_FILE)
@click.option(
    "--sample",
    type=_FILE,
    metavar="NPZ",
    help="Real inputs, one array per input name; needed for variants, and unless all inputs are floats.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="USE",
    help="Make this of the file (onnx-int8, tflite-fp32, ...), as in recipes; repeatable.",
)
@click.option(
    "--recipe", type=_FILE, metavar="FILE", help="Passes for graphs or estimators, variants, and goals of size and latency (TOML)."
)
@click.option("--with", "companions", type=_FILE, multiple=True, metavar="FILE", help="A file that travels with the model; repeatable.")
@click.option(
    "--trust-pickle", is_flag=True, help="Open an estimator also if it is a Python pickle (.pkl, .joblib), which can run any code."
)
@click.option("--publisher-key", metavar="FILE|URI", help="Sign with this key here, instead of the controller's (lab mode).")
@controller_options
def import_model(
    session: Session,
    name: str,
    file: Path,
    sample: Path | None,
    variants: tuple[str, ...],
    recipe: Path | None,
    companions: tuple[Path, ...],
    trust_pickle: bool,
    publisher_key: str | None,
) -> None:
    """Register a ready ONNX, TFLite or scikit-learn (skops) file as the next version of model NAME.

    Without --variant and --recipe an ONNX or TFLite file is registered as it is, and a fitted estimator as onnx-fp32 and
    tflite-fp32. With them one version carries all that is made of an ONNX file or an estimator; each variant is compared with the
    file's own answers to the sample, which also tells ranges to those that are quantised.

    The file is opened only in a child process with limits; the answers to the sample become golden probes.
    """
    from argosy_controller.cli.progress import following
    from argosy_controller.cli.publish import publish
    from argosy_controller.pipeline.importing import run_import

    check_name("model", name)
    with session.client() as client, tempfile.TemporaryDirectory(prefix="argosy-import-") as temporary:
        if variants or recipe:
            client.get("/status")  # minutes of conversion must not end with "no controller runs"
        with following(f"import {file.name}") as on_progress:
            out = Path(temporary) / "bundle"
            bundle = run_import(
                name, file, sample, companions, out, on_progress, variants=variants, recipe=recipe, trust_pickle=trust_pickle
            )
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
    _draw_beside(console, found)


def _draw_beside(console: Console, found: dict[str, Any]) -> None:
    """Parity and needs, in a table of their own: they do not fit beside the numbers."""
    from rich.table import Table

    table = Table(
        "version", "variant", "largest difference", "same class", "compared", "needs", box=None, header_style="bold", pad_edge=False
    )
    for column in table.columns[2:4]:
        column.justify = "right"
    for version in found["versions"]:
        for one in version["variants"]:
            parity = msgspec.convert(one["parity"], ParityView | None)
            needs = msgspec.convert(one["needs"], NeedsView)
            table.add_row(
                f"{found['model']}@{version['version']}",
                one["name"],
                variant_words.difference(parity),
                variant_words.same_class(parity),
                plain(variant_words.compared(parity)),
                plain(", ".join(filter(None, [*variant_words.needs(needs, one["format"]), variant_words.operators(needs)]))),
            )
    console.print()
    console.print(table)
