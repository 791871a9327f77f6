"""Latency figures are taken while no other trial of this machine trains: trainings pause at the end of an epoch.

Two locked files, which the kernel frees when a process dies. Whoever works holds the room together with others; whoever
measures closes the door, waits until the room is empty, and has it alone. The door keeps newcomers from starving him.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QuietRoom:
    """One process's way in. All processes that name the same folder share the room."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door = os.open(folder / "door", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._room = os.open(folder / "room", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Leaves for good."""
        os.close(self._room)
        os.close(self._door)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Within this, nobody measures, except during `pause`."""
        self._enter()
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def pause(self) -> None:
        """While working: lets those measure who wait for it."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._enter()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While working: within this, nobody else works."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_SH)
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def _enter(self) -> None:
        fcntl.flock(self._door, fcntl.LOCK_SH)
        fcntl.flock(self._room, fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
