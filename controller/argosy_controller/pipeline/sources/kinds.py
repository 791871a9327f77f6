"""What kind of trained model a file holds, by its content; and that opening it cannot take all memory."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from argosy.errors import InvalidInput, NotFound
from argosy_controller.pipeline.files.estimators import SCHEMA
from argosy_controller.pipeline.files.formats import MAX_MODEL_BYTES

ACCEPTED = "give a .safetensors, .pt2 (torch.export), TorchScript, ONNX or skops file"
_MAX_ENTRIES = 100_000
_PICKLES = (b"\x80", b"(", b"c")


class Kind(Enum):
    """Each is read in its own way."""

    SAFETENSORS = "safetensors"
    EXPORTED = "torch.export archive"
    TORCHSCRIPT = "TorchScript"
    ONNX = "ONNX"
    SKOPS = "skops (scikit-learn)"
    PICKLE = "Python pickle"


def kind_of(path: Path) -> Kind:
    """Looks at a file's first bytes and, in a zip, at its entries; nothing is unpacked.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is none of the kinds, empty or too large, or a zip that would unpack to far more than it is.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise NotFound(f"model file {path} cannot be read ({error.strerror}): check its name") from error
    if not 0 < size <= MAX_MODEL_BYTES:
        raise InvalidInput(f"{path.name} has {size} bytes: a model file has 1 to {MAX_MODEL_BYTES}")
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(path)
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return Kind.SAFETENSORS
    if head[:1] == b"\x08":  # ir_version, the first field that every ONNX writer writes
        return Kind.ONNX
    if head.startswith(_PICKLES):
        return Kind.PICKLE
    raise InvalidInput(f"{path.name} is no trained model that can be read: {ACCEPTED}")


def _of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InvalidInput(f"{path.name} begins like a zip archive, but is damaged: {ACCEPTED}") from error
    if len(entries) > _MAX_ENTRIES or sum(one.file_size for one in entries) > MAX_MODEL_BYTES:
        raise InvalidInput(f"{path.name} unpacks to more than {MAX_MODEL_BYTES} bytes or {_MAX_ENTRIES} files: that is no model")
    if any(one.filename == SCHEMA for one in entries):
        return Kind.SKOPS
    names = {one.filename.partition("/")[2] for one in entries}
    if "archive_format" in names and any(one.startswith("models/") for one in names):
        return Kind.EXPORTED
    if any(one.startswith("code/") for one in names):
        return Kind.TORCHSCRIPT
    if "data.pkl" in names:
        return Kind.PICKLE
    raise InvalidInput(f"{path.name} is a zip archive without a model that can be read: {ACCEPTED}")
