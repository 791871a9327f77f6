"""The first look at a model file: that it is there, that its size is one that a model has, and how it begins. Light to import."""

from __future__ import annotations

from pathlib import Path

from argosy.errors import ArgosyError, InvalidInput

#: protobuf's own limit for one message.
MAX_MODEL_BYTES = (1 << 31) - 1
ZIP = b"PK\x03\x04"
#: ir_version, the first field that every ONNX writer writes.
ONNX = b"\x08"
_TFLITE = b"TFL3"
_LENGTH = 64


def first_bytes(path: Path, missing: type[ArgosyError] = InvalidInput) -> tuple[bytes, int]:
    """Up to 64 bytes, and the size of the file in bytes.

    Args:
        missing: raised where there is no such file, or none that can be read.

    Raises:
        InvalidInput: it is empty or too large.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_LENGTH)
    except OSError as error:
        raise missing(f"model file {path} cannot be read ({error.strerror}): check its name") from error
    if not 0 < size <= MAX_MODEL_BYTES:
        raise InvalidInput(f"{path.name} has {size} bytes: a model file has 1 to {MAX_MODEL_BYTES}")
    return head, size


def is_tflite(head: bytes) -> bool:
    """Whether a file begins like a TFLite model: its mark stands behind an offset."""
    return head[4:8] == _TFLITE
