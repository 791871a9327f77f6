"""What kind of trained model a file holds, by its content; and that opening it cannot take all memory. Light to import."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from argosy.errors import ArgosyError, InvalidInput, NotFound
from argosy_controller.pipeline.files.first_bytes import MAX_MODEL_BYTES, ONNX, ZIP, first_bytes, is_tflite

ACCEPTED = "give a .safetensors, .pt2 (torch.export), TorchScript, ONNX or skops file"
_MAX_ENTRIES = 100_000
#: What skops writes beside the arrays.
SCHEMA = "schema.json"
#: Of any protocol, and joblib's compressed ones.
_PICKLES = (b"\x80", b"(", b"c", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
#: What torch's older pickles begin with.
_TORCH_PICKLE = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


class Kind(Enum):
    """Each is read in its own way."""

    SAFETENSORS = "safetensors"
    EXPORTED = "torch.export archive"
    TORCHSCRIPT = "TorchScript"
    ONNX = "ONNX"
    SKOPS = "skops (scikit-learn)"
    PICKLE = "Python pickle"
    TORCH_PICKLE = "Python pickle of PyTorch"


def kind_of(path: Path) -> Kind:
    """Looks at a file's first bytes and, in a zip, at its entries; nothing is unpacked.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is none of the kinds, empty or too large, or a zip that would unpack to far more than it is.
    """
    head, size = first_bytes(path, NotFound)
    if head.startswith(ZIP):
        return _of_zip(path)
    if is_tflite(head):
        raise InvalidInput(f"{path.name} is a TFLite file, out of which no model can be taken: {ACCEPTED}")
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return Kind.SAFETENSORS
    if head.startswith(ONNX):
        return Kind.ONNX
    if head.startswith(_PICKLES):
        return Kind.TORCH_PICKLE if _TORCH_PICKLE in head else Kind.PICKLE
    raise InvalidInput(f"{path.name} is no trained model that can be read: {ACCEPTED}")


def is_estimator(path: Path, trust_pickle: bool) -> bool:
    """Whether an import takes a file for an estimator of scikit-learn: skops, and a pickle where its maker is trusted.

    What is wrong with a file that is no model at all is said by who reads it.
    """
    try:
        kind = kind_of(path)
    except ArgosyError:
        return False
    return kind is Kind.SKOPS or (trust_pickle and kind is Kind.PICKLE)


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
        return Kind.TORCH_PICKLE
    raise InvalidInput(f"{path.name} is a zip archive without a model that can be read: {ACCEPTED}")
