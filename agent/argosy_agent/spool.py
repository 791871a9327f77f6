"""What the broker has not acknowledged, as small files; bounded. Owned by the event loop.

A message is written before it is first sent and removed when it was acknowledged, so nothing is lost when the agent is
killed. The writes are not forced to the disk: online, a file is gone again long before the kernel would write it out.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from argosy.errors import InvalidInput
from argosy.histogram import SCALE
from argosy.protocol.codec import from_msgpack, to_msgpack
from argosy.protocol.telemetry import Window, from_sketch, to_sketch
from argosy.topics import Channel
from argosy_agent.folder import write_in_place_of

_SENT = ".sent"
#: Sketches of merged windows lose resolution down to this scale (relative error 9 %), which keeps them small.
_COARSEST = 2
_FORMS = {Channel.EVENT: "event", Channel.TELEMETRY: "window"}
_CHANNELS = {form: channel for channel, form in _FORMS.items()}


@dataclass(frozen=True)
class Spooled:
    """One message in the spool."""

    path: Path
    channel: Channel

    def read(self) -> bytes | None:
        """Its bytes, None when the file is gone."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None


class Spool:
    """The spool of one STATE folder.

    Args:
        folder: STATE/spool.
        limit: most files; beyond it windows are merged pairwise (counts stay exact) and the oldest events are dropped.
    """

    def __init__(self, folder: Path, limit: int = 2000) -> None:
        self._folder = folder
        self._limit = limit
        self._waiting: OrderedDict[str, Spooled] = OrderedDict()
        self._taken: dict[str, Spooled] = {}
        self._next = 0
        for path in sorted(folder.glob("*-*")):
            self._adopt(path)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken)

    def add(self, channel: Channel, payload: bytes) -> None:
        """Stores a message; on a full disk it is kept in no place and lost, which is said by the exception.

        Raises:
            OSError: it could not be written.
        """
        path = self._folder / f"{self._next:012d}-{_FORMS[channel]}"
        self._next += 1
        write_in_place_of(path, payload, durable=False)
        self._waiting[path.name] = Spooled(path, channel)
        if len(self) > self._limit:
            self._shrink()

    @property
    def in_flight(self) -> int:
        """How many were taken and neither done nor given back."""
        return len(self._taken)

    def give_back(self, spooled: Spooled) -> None:
        """It could not be sent now; it goes first the next time."""
        if self._taken.pop(spooled.path.name, None):
            self._waiting[spooled.path.name] = spooled
            self._waiting.move_to_end(spooled.path.name, last=False)

    def take(self, most: int) -> list[Spooled]:
        """Up to `most` messages to send now, oldest first; each then waits for `done` or `again`."""
        taken: list[Spooled] = []
        while self._waiting and len(taken) < most:
            _, spooled = self._waiting.popitem(last=False)
            spooled = self._marked(spooled)
            self._taken[spooled.path.name] = spooled
            taken.append(spooled)
        return taken

    def done(self, spooled: Spooled) -> None:
        """The broker has it."""
        self._taken.pop(spooled.path.name, None)
        with contextlib.suppress(OSError):
            spooled.path.unlink(missing_ok=True)

    def again(self) -> None:
        """The connection was lost: what was not acknowledged is sent again, in order."""
        waiting = {**self._taken, **self._waiting}
        self._taken.clear()
        self._waiting = OrderedDict(sorted(waiting.items()))

    def _marked(self, spooled: Spooled) -> Spooled:
        """Marks a message that may have arrived: it must never be merged, or its counts could arrive twice."""
        if spooled.path.name.endswith(_SENT):
            return spooled
        marked = spooled.path.with_name(spooled.path.name + _SENT)
        try:
            spooled.path.rename(marked)
        except OSError:
            return spooled
        return Spooled(marked, spooled.channel)

    def _adopt(self, path: Path) -> None:
        number, _, form = path.name.removesuffix(_SENT).partition("-")
        if number.isdigit() and form in _CHANNELS:
            self._waiting[path.name] = Spooled(path, _CHANNELS[form])
            self._next = max(self._next, int(number) + 1)

    def _shrink(self) -> None:
        """Halves the windows, and drops the oldest quarter of the events."""
        unsent = [s for s in self._waiting.values() if not s.path.name.endswith(_SENT)]
        self._merge([s for s in unsent if s.channel is Channel.TELEMETRY])
        events = [s for s in unsent if s.channel is Channel.EVENT]
        for spooled in events[: len(events) // 4]:
            self._drop(spooled)

    def _merge(self, spooled: list[Spooled]) -> None:
        open_windows: dict[tuple[str, str, int, str], tuple[Spooled, Window]] = {}
        for one in spooled:
            window = _window(one)
            if window is None:
                self._drop(one)
                continue
            key = (window.slot, window.model, window.version, window.variant)
            earlier = open_windows.pop(key, None)
            if earlier is None:
                open_windows[key] = (one, window)
                continue
            # The joined window replaces the later file in one rename; a crash before the other is removed counts twice
            # nowhere: the earlier keeps its own key and is removed first.
            joined = merge_windows(earlier[1], window)
            self._drop(earlier[0])
            write_in_place_of(one.path, to_msgpack(joined), durable=False)

    def _drop(self, spooled: Spooled) -> None:
        self._waiting.pop(spooled.path.name, None)
        spooled.path.unlink(missing_ok=True)


def _window(spooled: Spooled) -> Window | None:
    try:
        return from_msgpack(Window, spooled.read() or b"")
    except InvalidInput:
        return None


def merge_windows(first: Window, second: Window) -> Window:
    """One window with the counts of two of the same slot and content; its key is the second's, its sketch is coarser."""
    one, two = from_sketch(first.latency), from_sketch(second.latency)
    scale = max(_COARSEST, min(one.scale, two.scale, SCALE) - 1)
    both = one.coarsen(min(one.scale, scale)).merge(two.coarsen(min(two.scale, scale)))
    start = min(first.start, second.start)
    end = max(first.start + first.duration_s, second.start + second.duration_s)
    resources = second.resources.__class__(
        memory_bytes=max(first.resources.memory_bytes, second.resources.memory_bytes),
        cpu_s=first.resources.cpu_s + second.resources.cpu_s,
        temperature_c=second.resources.temperature_c,
    )
    return Window(
        device=second.device, boot=second.boot, sequence=second.sequence, slot=second.slot, model=second.model, version=second.version,
        variant=second.variant, start=start, duration_s=end - start, requests=first.requests + second.requests,
        errors=first.errors + second.errors, latency=to_sketch(both), resources=resources,
    )  # fmt: skip
