"""What a search remembers: finished trials by content, one JSON line each, safe against a kill at any byte.

A line is appended with one write under a lock and forced to disk. A line that was torn by a power cut is skipped, and the
next one begins on a line of its own. Several searches may use one file.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from argosy_controller.pipeline.search.outcome import Outcome

_MOST_BYTES = 256 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One finished trial under the key of its content."""

    key: str
    outcome: Outcome


class Journal:
    """The trials of one task, data, seed and machine; of two with one key, the later counts."""

    def __init__(self, path: Path) -> None:
        """Reads what is there; a file over 256 MB is read up to there."""
        self._path = path
        self._known: dict[str, Outcome] = {}
        try:
            with path.open("rb") as file:
                lines = file.read(_MOST_BYTES).split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                continue
            self._known[entry.key] = entry.outcome

    def get(self, key: str) -> Outcome | None:
        """How the trial with this content ended."""
        return self._known.get(key)

    def keep(self, key: str, outcome: Outcome) -> None:
        """Remembers a trial; when this returns, it is on disk."""
        self._known[key] = outcome
        line = msgspec.json.encode(Entry(key=key, outcome=outcome)) + b"\n"
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _write(handle, line if _ends_with_a_line(handle) else b"\n" + line)
            os.fsync(handle)
        finally:
            os.close(handle)


def _ends_with_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size == 0 or os.pread(handle, 1, size - 1) == b"\n"


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
