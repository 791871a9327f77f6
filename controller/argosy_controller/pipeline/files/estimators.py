"""Whether a file holds an estimator of scikit-learn, by its content. Nothing is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path

_ZIP = b"PK\x03\x04"
#: What skops writes beside the arrays.
SCHEMA = "schema.json"
#: Pickles of protocol 2 and later, and joblib's compressed ones.
_PICKLES = (b"\x80", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")


def is_skops(path: Path) -> bool:
    """A zip archive with a schema as skops writes it."""
    if not _head(path).startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return SCHEMA in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def may_be_pickle(path: Path) -> bool:
    """Begins like one."""
    return _head(path).startswith(_PICKLES)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError:
        return b""
