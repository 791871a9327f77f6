"""The artifact store: files by their sha256, in a folder. A file that is there under its name is whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from argosy.errors import InvalidInput, NotFound
from argosy.names import is_digest
from argosy_controller.durable import PARTIAL, remove_partials, sync_folder

#: zstd is kept only when it saves at least this share; less is not worth a device's work.
WORTHWHILE = 0.05
_LEVEL = 10
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ArtifactStore:
    """Content-addressed files below `folder`: `aa/SHA256`, and `aa/SHA256.zst` where that is worth it."""

    folder: Path

    def __post_init__(self) -> None:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, source: Path) -> tuple[str, int]:
        """Copies a file in, durably; a file that is there already is written anew, which heals one that was altered.

        Returns:
            Its sha256 (64 hex digits) and length in bytes.

        Raises:
            InvalidInput: it cannot be read.
        """
        with _partial(self._incoming) as (plain, plain_file), _partial(self._incoming) as (packed, packed_file):
            try:
                with source.open("rb") as reader:
                    sha256, length = _copy(reader, plain_file, packed_file)
            except OSError as error:
                raise InvalidInput(f"file {source} cannot be stored ({error.strerror}): check the file and the free space") from error
            self._keep(sha256, length, plain, packed)
        return sha256, length

    def put_bytes(self, content: bytes) -> tuple[str, int]:
        """As `put`, for a document in memory."""
        with _partial(self._incoming) as (path, file):
            file.write(content)
            file.flush()
            return self.put(path)

    def path(self, sha256: str) -> Path:
        """Where a file lies.

        Raises:
            NotFound: it is not in the store.
        """
        if not is_digest(sha256) or not self._place(sha256).is_file():
            raise NotFound(f"the artifact store holds no file {sha256!r:.80}")
        return self._place(sha256)

    def zstd_path(self, sha256: str) -> Path | None:
        """Where its zstd form lies, None when that would not be smaller by 5 %.

        Raises:
            NotFound: the file is not in the store.
        """
        packed = self.path(sha256).with_suffix(".zst")
        return packed if packed.is_file() else None

    def remove_unfinished(self) -> None:
        """Removes what a crash left half copied; only while nothing is being put, so at start."""
        remove_partials(self._incoming)

    @property
    def _incoming(self) -> Path:
        return self.folder / "incoming"

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _keep(self, sha256: str, length: int, plain: Path, packed: Path) -> None:
        place = self._place(sha256)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        if packed.stat().st_size <= length * (1 - WORTHWHILE):
            packed.replace(place.with_suffix(".zst"))
        plain.replace(place)  # last: a file that is there has its zstd form, or never gets one
        sync_folder(place.parent)
        sync_folder(self.folder)


@contextmanager
def _partial(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    path = folder / f"{PARTIAL}{secrets.token_hex(8)}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def _copy(reader: BinaryIO, plain: BinaryIO, packed: BinaryIO) -> tuple[str, int]:
    digest, length = hashlib.sha256(), 0
    with zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(packed, closefd=False) as compressor:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
            plain.write(chunk)
            compressor.write(chunk)
    for file in (plain, packed):
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), length
