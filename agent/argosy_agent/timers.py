"""Something that is due every so often, turned by the loop: no thread, no clock of its own."""

from __future__ import annotations

from collections.abc import Callable


class Every:
    """Calls `action` when `interval_s` seconds have passed since the last time.

    Args:
        at_once: also the first time it is turned.
    """

    def __init__(self, interval_s: float, action: Callable[[], None], *, at_once: bool = True) -> None:
        self._interval = interval_s
        self._action = action
        self._at_once = at_once
        self._due: float | None = None

    def turn(self, now: float) -> None:
        """Looks at the time, seconds of a clock that never jumps."""
        if self._due is None:
            self._due = now if self._at_once else now + self._interval
        if now >= self._due:
            # From now, not from when it was due: after a suspend it happens once, not a hundred times.
            self._due = now + self._interval
            self._action()
