"""From a bundle on disk to a registered version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argosy_controller.cli.client import Client
from argosy_controller.cli.progress import sending

if TYPE_CHECKING:
    from securesystemslib.signer import Key

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
    if publisher_key is not None:
        return _shortened(_publish_signed(client, bundle, publisher_key))
    return _shortened(_upload(client, "/versions", bundle))


def _publish_signed(client: Client, bundle: Path, publisher_key: str) -> Any:
    """Signs here: the key never leaves this machine, and what is signed is computed from the files on this disk."""
    import base64
    import time

    import msgspec

    from argosy_controller.registry.bundle import read_bundle
    from argosy_controller.registry.register import final
    from argosy_controller.signing.keys import load_signer
    from argosy_controller.signing.publisher import Current, sign_targets

    read = read_bundle(bundle)
    staged = _upload(client, "/versions/staged", bundle)
    current = Current(
        targets=base64.b64decode(staged["targets"]), model=base64.b64decode(staged["listed"]) if staged["listed"] is not None else None
    )
    signer = load_signer(publisher_key, public_keys(staged["publisher_keys"]))
    signed = sign_targets(current, read.model, final(read, staged["version"]).targets, signer, time.time())
    return client.post(f"/versions/staged/{staged['upload']}", msgspec.to_builtins(signed))


def public_keys(documents: Mapping[str, Any]) -> list[Key]:
    """Public keys as the API tells them: key id to the key's TUF form."""
    from securesystemslib.signer import Key

    return [Key.from_dict(keyid, dict(document)) for keyid, document in documents.items()]


def _shortened(version: Any) -> Any:
    variants = [{key: one[key] for key in VARIANT_KEYS} for one in version["variants"]]
    return {"model": version["model"], "version": version["version"], "variants": variants}


def _upload(client: Client, path: str, bundle: Path) -> Any:
    # report.html stays here: the controller draws its own from report.json, and takes no page from elsewhere.
    found = [bundle / "report.json", *sorted((bundle / "variants").rglob("*"))]
    files = {str(file.relative_to(bundle)): file for file in found if file.is_file()}
    with sending(sum(file.stat().st_size for file in files.values())) as on_bytes:
        return client.upload(path, files, on_bytes)


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
