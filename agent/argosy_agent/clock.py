"""The device's clock with a persisted floor: a device without a battery wakes up in 1970 and must not be fooled by it.

The floor rises with what is verified (the issue time of an accepted document, the begin of the own certificate) and never
falls; it never follows the local clock, which may be wrong in the other direction and would shut the device out for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from argosy_agent.folder import write_atomically


class _Floor(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float


class Clock:
    """Wall time that is never below the floor. One owner raises it; any thread may read.

    Args:
        path: where the floor is kept.
        wall: seconds since 1970, as the system believes.
        monotonic: seconds that never jump, from any beginning.

    Attributes:
        steady: `monotonic`, for waits and windows.
    """

    def __init__(self, path: Path, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._wall = wall
        self.steady = monotonic
        self._floor = _read(path)

    @property
    def floor(self) -> float:
        """Seconds since 1970; 0 before anything was verified."""
        return self._floor

    def now(self) -> float:
        """Seconds since 1970, at least the floor."""
        return max(self._wall(), self._floor)

    def is_behind(self) -> bool:
        """Whether the system's clock is below the floor, so certificate times must be judged against the floor."""
        return self._wall() < self._floor

    def raise_to(self, seconds: float) -> None:
        """Lifts the floor to a verified time; a lower one changes nothing.

        Raises:
            OSError: the floor could not be written; it holds in memory then.
        """
        if seconds <= self._floor:
            return
        self._floor = seconds
        write_atomically(self._path, msgspec.json.encode(_Floor(seconds=seconds)))


def _read(path: Path) -> float:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Floor).seconds
    except (OSError, msgspec.DecodeError):
        return 0.0
