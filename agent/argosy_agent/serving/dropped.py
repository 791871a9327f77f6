"""Counts of in-process users as files in STATE/spool/in/, which the supervisor takes up."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from argosy.protocol.codec import to_msgpack
from argosy_agent.messages import Counts
from argosy_agent.serving.handle import Handle

#: With this many files waiting no one takes them up: counts then stay in memory, as histograms, until there is room.
MAX_WAITING = 1000
SUFFIX = ".mp"


class Dropper:
    """Moves a handle's counts into a folder, each Counts into exactly one file.

    Args:
        handle: whose counts.
        folder: made when it is not there.
    """

    def __init__(self, handle: Handle, folder: Path) -> None:
        self._handle = handle
        self._folder = folder
        self._pending: list[Counts] = []

    def drop(self) -> None:
        """Writes one file per content with requests, each complete or not at all.

        What cannot be written is kept, and nothing more is taken from the handle until it is written.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(1 for _ in os.scandir(self._folder)) >= MAX_WAITING:
            return
        if not self._pending:
            self._pending = self._handle.collect()
        while self._pending:
            _write(self._folder, self._pending[0])
            del self._pending[0]


def _write(folder: Path, counts: Counts) -> None:
    name = f"{time.time_ns()}-{uuid.uuid4().hex}"
    hidden = folder / f".{name}.tmp"
    try:
        hidden.write_bytes(to_msgpack(counts))
        hidden.replace(folder / f"{name}{SUFFIX}")
    finally:
        hidden.unlink(missing_ok=True)
