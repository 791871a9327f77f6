"""Bundles as a build writes them, and a registry to put them in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from argosy.protocol.card import CARD_FILE, MODEL_FILES, Card, FileRef
from argosy.protocol.codec import to_json
from argosy_controller.db.engine import Database, open_database
from argosy_controller.registry.store import ArtifactStore
from argosy_controller.signing.repository import TufRepository

NOW = 1_800_000_000.0
MakeBundle = Callable[..., Path]


def file_ref(path: Path) -> FileRef:
    content = path.read_bytes()
    return FileRef(name=path.name, sha256=hashlib.sha256(content).hexdigest(), length=len(content))


def write_variant(folder: Path, model: str, content: bytes, companions: Mapping[str, bytes]) -> Card:
    """One variant; its folder's name says format and precision, as in `onnx-int8`."""
    model_format, _, precision = folder.name.partition("-")
    folder.mkdir(parents=True)
    file = folder / MODEL_FILES[model_format]
    file.write_bytes(content)
    for name, each in companions.items():
        (folder / name).write_bytes(each)
    card = Card(
        model=model,
        version=0,
        variant=folder.name,
        format=model_format,
        precision=precision,
        inputs=[],
        outputs=[],
        model_file=file_ref(file),
        companions=[file_ref(folder / name) for name in companions],
    )
    (folder / CARD_FILE).write_bytes(to_json(card))
    return card


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    made = 0

    def make(
        content: bytes = b"weights",
        model: str = "digits",
        variants: tuple[str, ...] = ("onnx-fp32",),
        companions: Mapping[str, bytes] | None = None,
    ) -> Path:
        nonlocal made
        made += 1
        folder = tmp_path / f"bundle-{made}"
        folder.mkdir()
        for name in variants:
            write_variant(folder / "variants" / name, model, name.encode() + content, companions or {})
        (folder / "report.json").write_text(json.dumps({"summary": "as built", "variants": len(variants)}))
        return folder

    return make


@dataclass(frozen=True)
class Registry:
    """All that a registration needs."""

    database: Database
    store: ArtifactStore
    repository: TufRepository
    folder: Path


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    database = open_database(tmp_path / "argosy.db")
    repository = TufRepository.create(tmp_path / "tuf", tmp_path / "keys", tmp_path / "offline-keys", NOW)
    yield Registry(database, ArtifactStore(tmp_path / "artifacts"), repository, tmp_path)
    database.close()
