"""From a bundle on disk to a registered version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from argosy_controller.cli.client import Client
from argosy_controller.cli.progress import sending

#: What scripts rely on; the API tells more.
VARIANT_KEYS = ("name", "format", "precision", "sha256", "bytes")


def publish(client: Client, bundle: Path, publisher_key: str | None) -> Any:
    """Uploads a bundle and has it registered.

    Args:
        client: of the controller.
        bundle: folder with report.json and variants.
        publisher_key: file or URI of the key that signs here; None lets the controller sign (lab mode).

    Returns:
        What `controller models import --json` prints.
    """
    files = {str(path.relative_to(bundle)): path for path in sorted(bundle.rglob("*")) if path.is_file()}
    with sending(sum(path.stat().st_size for path in files.values())) as on_bytes:
        version = client.upload("/versions", files, on_bytes)
    variants = [{key: one[key] for key in VARIANT_KEYS} for one in version["variants"]]
    return {"model": version["model"], "version": version["version"], "variants": variants}


def described(bundle: Path) -> dict[str, Any]:
    """A bundle that is not registered, as `controller build --json` prints it; version 0."""
    from argosy_controller.registry.bundle import read_bundle

    read = read_bundle(bundle)
    variants = [
        {
            "name": card.variant,
            "format": card.format,
            "precision": card.precision,
            "sha256": card.model_file.sha256,
            "bytes": card.model_file.length,
        }
        for card, _ in read.variants
    ]
    return {"model": read.model, "version": 0, "variants": variants}
