"""The reference through which a slot's requests reach its model, and the counting of them.

A request reads the reference once and stays on that model to its end; a swap rebinds the reference. No lock is taken on
either way: the interpreter makes reading, rebinding and appending atomic. The old model is kept by a `_Retired` until the
weak reference to its `_Serving` dies, which is when the last request has dropped it; then it is released by whoever calls
`release`, never by a request.
"""

from __future__ import annotations

import threading
import time
import weakref
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from argosy.errors import InvalidInput, NotFound, Unavailable
from argosy.histogram import Histogram
from argosy.protocol.card import Card
from argosy.protocol.desired import SlotContent
from argosy.protocol.telemetry import to_sketch
from argosy_agent.messages import Counts
from argosy_agent.runtimes.session import Array, Session, Signature
from argosy_agent.serving.folding import fold


@dataclass(frozen=True)
class Model:
    """A loaded variant."""

    content: SlotContent
    card: Card
    session: Session
    runtime: str


class _Tally:
    """Requests of one content. Requests append; `take` and `fold`, under the handle's lock, consume from the front."""

    def __init__(self, start: float) -> None:
        self.durations = array("q")
        self.failures = array("b")
        self.start = start
        self.folded = Histogram()

    def fold(self) -> None:
        """Moves recorded durations into the histogram; what is appended meanwhile stays for the next time."""
        taken = self.durations[:]
        del self.durations[: len(taken)]
        fold(taken, self.folded)

    def take(self, slot: str, content: SlotContent, now: float) -> Counts | None:
        """Everything since the last time, None for no request."""
        self.fold()
        errors = len(self.failures)
        del self.failures[:errors]
        latency, start = self.folded, self.start
        self.folded, self.start = Histogram(), now
        requests = latency.count + errors
        if not requests:
            return None
        return Counts(
            slot=slot,
            content=content,
            start=start,
            duration_s=max(now - start, 0.0),
            requests=requests,
            errors=errors,
            latency=to_sketch(latency),
        )


class _Serving:
    """What a request holds on to. Its death says that no request is on this model any more."""

    __slots__ = ("__weakref__", "before", "fail", "model", "record", "run", "tally")

    def __init__(self, model: Model, tally: _Tally, before: Signature | None) -> None:
        self.model = model
        self.tally = tally
        self.before = before
        self.run = model.session.run
        self.record = tally.durations.append
        self.fail = tally.failures.append


@dataclass
class _Retired:
    """A model that no new request reaches; `users` gives None once the last request has ended."""

    content: SlotContent
    tally: _Tally
    users: weakref.ref[_Serving]
    model: Model | None = field(repr=False)


class Handle:
    """One slot.

    Args:
        slot: its name, for messages and counts.
        clock: seconds since 1970.
        on_idle: called, on a request's thread, when the last request has left a model that was swapped out; only to wake
            whoever calls `release`.
    """

    def __init__(self, slot: str, clock: Callable[[], float] = time.time, on_idle: Callable[[], None] = lambda: None) -> None:
        self.slot = slot
        self._clock = clock
        self._on_idle = on_idle
        self._serving: _Serving | None = None
        self._retired: list[_Retired] = []
        self._changing = threading.Lock()

    @property
    def model(self) -> Model | None:
        """What serves now; None while the slot is empty."""
        serving = self._serving
        return None if serving is None else serving.model

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the serving model and counts the request.

        Inputs that do not fit the card are the caller's mistake and are not counted, unless the version before would have
        taken them: then this version broke a caller, which counts as a failed request.

        Args:
            inputs: as `Session.run`.

        Raises:
            Unavailable: nothing serves here yet.
            InvalidInput: a name, dtype or shape is not the card's.
            ModelFailed: the runtime failed.
        """
        serving = self._serving
        if serving is None:
            raise self._absent(None)
        return _counted(serving, inputs)

    def answer(self, inputs: Mapping[str, Array], version: int | None = None) -> tuple[dict[str, Array], Model]:
        """As `predict`, and tells which model answered.

        Args:
            version: the only version that may answer; None for whichever serves.

        Raises:
            NotFound: another version serves.
        """
        serving = self._serving
        if serving is None or (version is not None and serving.model.content.version != version):
            raise self._absent(version)
        return _counted(serving, inputs), serving.model

    def swap(self, model: Model | None) -> None:
        """Lets `model` serve from now on, or nothing for None; returns at once, requests in flight end on the old one."""
        with self._changing:
            old = self._serving
            before = old.model.session.signature if old is not None else None
            self._serving = None if model is None else _Serving(model, _Tally(self._clock()), before)
            if old is not None:
                users = weakref.ref(old, lambda _: self._on_idle())
                self._retired.append(_Retired(old.model.content, old.tally, users, old.model))

    def release(self) -> int:
        """Drops models whose last request has ended; returns how many are still in use. Their counts wait for `collect`."""
        with self._changing:
            for retired in self._retired:
                if retired.users() is None:
                    retired.model = None
            return sum(retired.model is not None for retired in self._retired)

    def fold(self) -> None:
        """Packs what was recorded into histograms; called about once a second it bounds the memory between two collects."""
        with self._changing:
            for tally in self._tallies():
                tally.fold()

    def collect(self) -> list[Counts]:
        """What was counted since the last collect, one entry per content that had requests, oldest first."""
        self.release()
        with self._changing:
            now = self._clock()
            taken = [retired.tally.take(self.slot, retired.content, now) for retired in self._retired]
            self._retired = [retired for retired in self._retired if retired.model is not None]
            if self._serving is not None:
                taken.append(self._serving.tally.take(self.slot, self._serving.model.content, now))
        return [counts for counts in taken if counts is not None]

    def _tallies(self) -> list[_Tally]:
        serving = [] if self._serving is None else [self._serving.tally]
        return [retired.tally for retired in self._retired] + serving

    def _absent(self, version: int | None) -> Exception:
        now = self.model
        if now is None:
            return Unavailable(f"slot {self.slot!r} serves nothing yet: wait until a version is rolled out to it", retry_after_s=1.0)
        return NotFound(f"slot {self.slot!r} serves version {now.content.version}, not {version}: ask for the one that serves")


def _counted(serving: _Serving, inputs: Mapping[str, Array]) -> dict[str, Array]:
    begin = time.perf_counter_ns()
    try:
        outputs = serving.run(inputs)
    except InvalidInput:
        if serving.before is not None and serving.before.accepts(inputs):
            serving.fail(1)
        raise
    except Exception:
        serving.fail(1)
        raise
    serving.record(time.perf_counter_ns() - begin)
    return outputs
