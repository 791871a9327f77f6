"""Bundles: what a build or an import hands to the registry. Nothing in one is believed before it was checked here.

OUT/report.json                  a JSON object; `summary` (text) is shown to people
OUT/variants/NAME/card.json      argosy.protocol.card.Card with version 0
OUT/variants/NAME/...            the files that the card names, and no others
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from argosy.errors import InvalidInput
from argosy.protocol.card import CARD_FILE, MAX_CARD_BYTES, PRECISIONS, Card, FileRef, check_card
from argosy.protocol.codec import from_json

MAX_REPORT_BYTES = 4 << 20
MAX_VARIANTS = 64
MAX_SUMMARY = 200
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. `variants`: card and folder of each, by name."""

    model: str
    summary: str
    report: dict[str, Any]
    variants: tuple[tuple[Card, Path], ...]


def read_bundle(folder: Path) -> Bundle:
    """Reads and checks a bundle: every name, size and digest. It may be hostile; it is not executed and not followed anywhere.

    Raises:
        InvalidInput: it does not hold; nothing was changed.
    """
    report = _report(folder / "report.json")
    variants = tuple(_variant(place) for place in _variant_folders(folder / "variants"))
    named = {card.model for card, _ in variants}
    if len(named) != 1:
        raise InvalidInput(f"bundle {folder} holds variants of several models ({', '.join(sorted(named))}): build each by itself")
    return Bundle(named.pop(), str(report.get("summary", ""))[:MAX_SUMMARY], report, variants)


def files(card: Card) -> Iterator[FileRef]:
    """Every file that a card names: the model file first, then the companions."""
    yield card.model_file
    yield from card.companions


def _report(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(_bounded(path, MAX_REPORT_BYTES), type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no JSON object ({error}): build or import the model again") from error


def _variant_folders(folder: Path) -> list[Path]:
    _check_plain(folder, folder.is_dir(), "folder")
    places = sorted(folder.iterdir())
    if not 1 <= len(places) <= MAX_VARIANTS:
        raise InvalidInput(f"bundle {folder.parent} holds {len(places)} variants: 1 to {MAX_VARIANTS} are allowed")
    for place in places:
        _check_plain(place, place.is_dir(), "folder")
    return places


def _variant(folder: Path) -> tuple[Card, Path]:
    where = f"the card of variant {folder.name!r:.80}"
    card = from_json(Card, _bounded(folder / CARD_FILE, MAX_CARD_BYTES))
    check_card(card)
    if card.precision not in PRECISIONS:
        raise InvalidInput(f"{where} has precision {card.precision!r:.40}: use one of {', '.join(PRECISIONS)}")
    if card.variant != folder.name or card.version != 0:
        raise InvalidInput(f"{where} names variant {card.variant!r:.80}, version {card.version}: it must name its folder, and version 0")
    expected = {CARD_FILE, *(ref.name for ref in files(card))}
    stray = {entry.name for entry in folder.iterdir()} - expected
    if stray:
        raise InvalidInput(f"variant {folder.name} holds {min(stray)!r:.80}, which its card does not name: remove it, or name it")
    for ref in files(card):
        _check_file(folder / ref.name, ref)
    return card, folder


def _check_file(path: Path, ref: FileRef) -> None:
    _check_plain(path, path.is_file(), "file")
    if path.stat().st_size != ref.length or _sha256(path) != ref.sha256:
        raise InvalidInput(f"{path} is not the file that its card describes: it was changed or cut short, build or import the model again")


def _check_plain(path: Path, is_kind: bool, kind: str) -> None:
    if path.is_symlink() or not is_kind:
        raise InvalidInput(f"{path} is missing or no plain {kind}: a bundle holds plain files and folders, no links")


def _bounded(path: Path, limit: int) -> bytes:
    _check_plain(path, path.is_file(), "file")
    if path.stat().st_size > limit:
        raise InvalidInput(f"{path} has {path.stat().st_size} bytes, at most {limit} are allowed")
    with path.open("rb") as file:
        return file.read(limit)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
