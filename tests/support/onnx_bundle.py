"""Bundles of one ONNX file under several names, each asking of devices what a test wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import small_models
from msgspec.structs import replace

from argosy.protocol.card import CARD_FILE, Card, Needs
from argosy.protocol.codec import from_json, to_json


def bundle_of(model: bytes, folder: Path, name: str, needs: Mapping[str, Needs]) -> Path:
    """A bundle with a variant for each name in `needs`; the name says the precision."""
    (folder / "report.json").write_text(json.dumps({"schema": 2, "kind": "import", "model": name, "summary": "for a test", "variants": []}))
    for variant, asked in needs.items():
        place = folder / "variants" / variant
        small_models.write_onnx_variant(place, model, name=name)
        card = from_json(Card, (place / CARD_FILE).read_bytes())
        changed = replace(card, variant=variant, version=0, precision=variant.partition("-")[2], needs=asked)
        (place / CARD_FILE).write_bytes(to_json(changed))
    return folder
