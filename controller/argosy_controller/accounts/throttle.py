"""Slows down guessing of passwords: after a few failures a name or address must wait, longer each time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from argosy.errors import Unavailable

FREE_TRIES = 5
FORGET_S = 900.0
_MAX_WAIT_S = 300.0
_MAX_KEYS = 10_000


@dataclass
class Throttle:
    """Failures per key (an account name, a peer address), in memory and bounded; owned by one thread at a time.

    Forgetting at a restart is accepted: whoever can restart the controller can read its folder.
    """

    failures: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def check(self, keys: tuple[str, ...], now: float) -> None:
        """Lets a try pass.

        Raises:
            Unavailable: one of the keys must wait; says how long.
        """
        wait = max((self._wait_s(key, now) for key in keys), default=0.0)
        if wait > 0:
            raise Unavailable(f"too many failed sign-ins: wait {wait:.0f} s and try again", retry_after_s=wait)

    def failed(self, keys: tuple[str, ...], now: float) -> None:
        """Counts a failure."""
        for key in keys:
            count, _ = self._live(key, now)
            self.failures[key] = (count + 1, now)
            self.failures.move_to_end(key)
        while len(self.failures) > _MAX_KEYS:
            self.failures.popitem(last=False)

    def passed(self, keys: tuple[str, ...]) -> None:
        """Forgets the failures of keys that signed in."""
        for key in keys:
            self.failures.pop(key, None)

    def _live(self, key: str, now: float) -> tuple[int, float]:
        count, at = self.failures.get(key, (0, now))
        return (0, now) if now - at > FORGET_S else (count, at)

    def _wait_s(self, key: str, now: float) -> float:
        count, at = self._live(key, now)
        if count < FREE_TRIES:
            return 0.0
        wait = min(2.0 ** (count - FREE_TRIES), _MAX_WAIT_S)
        return max(0.0, at + wait - now)
