"""Opens a zipped Core ML package without trusting it: what it weighs, which files it names, where its manifest points.

Nothing is unpacked to the disk. A package that is none, is damaged, or asks for more than a model takes is refused before the
bytes are read.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.errors import InvalidInput

_MOST_BYTES = 1 << 30
_MOST_ENTRIES, _LONGEST_NAME = 256, 512
_MOST_MANIFEST_BYTES = 1 << 20
_MANIFEST = "Manifest.json"
_LINK, _KIND = 0o120000, 0o170000
_ENCRYPTED = 1


@dataclass(frozen=True)
class Package:
    """What a package holds.

    Attributes:
        name: of the file, for messages.
        model: the specification, a serialised protobuf message.
        weights: files beside it, by the name that the specification gives them (`@model_path/...`).
    """

    name: str
    model: bytes
    weights: Mapping[str, bytes]


def read_package(path: Path) -> Package:
    """The package in a zip archive.

    Raises:
        InvalidInput: it is no such archive, is damaged, would unpack to too much, or names what cannot be inside it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive.infolist(), path.name)
            root = _root(entries, path.name)
            model = root + "/" + "Data/" + _model_path(_read(archive, entries[f"{root}/{_MANIFEST}"]), path.name)
            if model not in entries:
                raise InvalidInput(f"{path.name} has no {model}, which its manifest names: convert the model again")
            folder = model.rpartition("/")[0] + "/"
            beside = [one for one in entries if one.startswith(folder) and one != model]
            weights = {f"@model_path/{one.removeprefix(folder)}": _read(archive, entries[one]) for one in beside}
            return Package(path.name, _read(archive, entries[model]), weights)
    except (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path.name} is no Core ML package in a zip archive, or is damaged: convert the model again") from error


def _checked(entries: list[zipfile.ZipInfo], name: str) -> dict[str, zipfile.ZipInfo]:
    """The files, by their full name; folders are left out."""
    if len(entries) > _MOST_ENTRIES or sum(one.file_size for one in entries) > _MOST_BYTES:
        raise InvalidInput(f"{name} would unpack to more than {_MOST_BYTES} bytes or {_MOST_ENTRIES} files: that is no model")
    found: dict[str, zipfile.ZipInfo] = {}
    for one in entries:
        if not _is_plain(one) or one.filename in found:
            raise InvalidInput(f"{name} has an entry {one.filename!r:.80}, which a Core ML package cannot have: it is refused")
        if not one.is_dir():
            found[one.filename] = one
    return found


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    parts = entry.filename.rstrip("/").split("/")
    plain = all(one not in ("", ".", "..") and "\\" not in one and ":" not in one and one.isprintable() for one in parts)
    linked = (entry.external_attr >> 16) & _KIND == _LINK
    return plain and not linked and not entry.flag_bits & _ENCRYPTED and len(entry.filename) <= _LONGEST_NAME


def _root(entries: Mapping[str, zipfile.ZipInfo], name: str) -> str:
    roots = {one.partition("/")[0] for one in entries}
    root = next(iter(roots)) if len(roots) == 1 else ""
    manifest = entries.get(f"{root}/{_MANIFEST}")
    if manifest is None or not root.endswith(".mlpackage"):
        raise InvalidInput(f"{name} is not one Core ML package (one folder .mlpackage with a {_MANIFEST}): convert the model again")
    if manifest.file_size > _MOST_MANIFEST_BYTES:
        raise InvalidInput(f"the manifest of {name} has {manifest.file_size} bytes: that is none")
    return root


def _model_path(raw: bytes, name: str) -> str:
    """Where the manifest says that the model is, below Data/."""
    try:
        content: Any = json.loads(raw)
        path = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"the manifest of {name} names no model: convert the model again") from error
    if not isinstance(path, str):
        raise InvalidInput(f"the manifest of {name} names no model: convert the model again")
    return path


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, never more than it said it has."""
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile("an entry is longer or shorter than it says")
    return content
