"""The whole device as data: what it accepted, its slots, its refusals. Events in, effects out; no thread, file or socket.

The supervisor drives one of these from its loop, the simulator drives thousands.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar, Union

from argosy.protocol.desired import Desired, SlotContent
from argosy.protocol.refusals import Failure, Refusal
from argosy.protocol.reported import Capabilities, Reported
from argosy.protocol.telemetry import Sketch, to_sketch
from argosy.trust import Refused, accept_desired
from argosy_agent.fetch.trusted import Trusted
from argosy_agent.health import Fail, Pass, judge
from argosy_agent.messages import Counts
from argosy_agent.report import slot_report
from argosy_agent.telemetry import Telemetry, histogram_of
from argosy_agent.updater.laws import check
from argosy_agent.updater.machine import resume, step, wait_s
from argosy_agent.updater.state import (
    Effect,
    Forget,
    Healthy,
    NowLive,
    Resting,
    SlotEvent,
    SlotState,
    Target,
    Tell,
    Tick,
    Unhealthy,
    Watching,
    Wished,
    Worker,
    WorkerDied,
    WorkerUp,
)

T = TypeVar("T")
_MAX_REFUSALS = 20
# How long an answer over HTTPS, or a message that the broker sends once more, may be under way.
_LATE_S = 30.0
_REMEMBERED = 64
#: Metadata verified this recently holds every key there is: a bad signature is then no reason to fetch it again.
_FRESH_S = 10.0
#: Metadata older than this is refreshed before a new document is acted upon, so that an expired one gates it.
_OLD_S = 3600.0


@dataclass(frozen=True)
class RefreshMetadata:
    """Fetch and verify the repository metadata; answers `on_metadata` or `on_metadata_failed`."""


@dataclass(frozen=True)
class KeepAccepted:
    """Store the accepted envelope durably, and raise the time floor to `issued`, before anything after it is done."""

    raw: bytes
    issued: float


DeviceEffect = Union[Effect, RefreshMetadata, KeepAccepted]  # noqa: UP007


@dataclass(frozen=True)
class Times:
    """The two clocks of one moment.

    Attributes:
        steady: seconds that never jump within a run of the agent; for waits and windows.
        wall: seconds since 1970, not below the time floor; for expiry and reports.
    """

    steady: float
    wall: float


@dataclass(frozen=True)
class Facts:
    """What does not change while the agent runs."""

    name: str
    repository: str
    boot: str
    capabilities: Capabilities
    spread_s: float = 0.0


@dataclass
class _Metadata:
    trusted: Trusted | None = None
    verified: float = float("-inf")
    asked: bool = False
    overtaken: bool = False  # a document came after the question: the answer may be older than it
    failures: int = 0
    again: float | None = None
    told: str = ""


@dataclass
class _Documents:
    accepted: Desired | None = None
    digests: OrderedDict[str, float] = field(default_factory=OrderedDict)  # of accepted ones, no news until then
    refused: OrderedDict[str, None] = field(default_factory=OrderedDict)  # told already
    waiting: bytes | None = None  # for metadata


class Device:
    """One device. One owner calls it.

    Args:
        facts: see Facts.
        accepted: the last accepted document with its envelope, as `recall` read it; None before the first.
        stored: the slots as they were persisted.
    """

    def __init__(self, facts: Facts, accepted: tuple[Desired, bytes] | None = None, stored: Iterable[SlotState] = ()) -> None:
        self.facts = facts
        self.telemetry = Telemetry(facts.name, facts.boot)
        self.slots: dict[str, SlotState] = {state.slot: state for state in stored}
        self.refusals: list[Failure] = []
        self._fetched: dict[str, tuple[int, int]] = {}
        self._worker_up = False
        self._metadata = _Metadata()
        self._documents = _Documents()
        if accepted:
            self._documents.accepted = accepted[0]
            _remember(self._documents.digests, _digest(accepted[1]), float("inf"))

    @property
    def accepted(self) -> Desired | None:
        """The last accepted document."""
        return self._documents.accepted

    def start(self, times: Times) -> list[DeviceEffect]:
        """After a start: slots go on where they were, and what was accepted but not begun begins."""
        effects: list[DeviceEffect] = []
        for slot, state in list(self.slots.items()):
            self.slots[slot], more = resume(state, times.steady)
            effects += self._after(slot, more)
        if self.accepted:
            effects += self._wish(self.accepted, 0.0, times)
        return effects

    # --- documents ---------------------------------------------------------------------------------------------------

    def on_desired(self, raw: bytes, times: Times) -> list[DeviceEffect]:
        """A document came, from wherever. It is believed for its signature alone."""
        digest = _digest(raw)
        if times.steady < self._documents.digests.get(digest, float("-inf")):
            return []
        trusted = self._metadata.trusted
        if trusted is None:
            return self._wait_for_metadata(raw, times)
        try:
            desired = self._judge(raw, trusted, times)
        except Refused as error:
            if error.refusal is Refusal.BAD_SIGNATURE and times.steady - self._metadata.verified > _FRESH_S:
                return self._wait_for_metadata(raw, times)
            return self._refuse(digest, error, times)
        if desired.timestamp_version > trusted.timestamp_version or times.steady - self._metadata.verified > _OLD_S:
            return self._wait_for_metadata(raw, times)
        return self._accept(raw, desired, times)

    def on_metadata(self, trusted: Trusted, times: Times) -> list[DeviceEffect]:
        """Metadata was verified."""
        overtaken = self._metadata.overtaken
        self._metadata = _Metadata(trusted=trusted, verified=times.steady)
        raw, self._documents.waiting = self._documents.waiting, None
        if raw is None:
            return []
        try:
            desired = self._judge(raw, trusted, times)
            if desired.timestamp_version > trusted.timestamp_version:
                raise Refused(
                    Refusal.STALE_METADATA, f"version {trusted.timestamp_version}, at least {desired.timestamp_version} is required"
                )
        except Refused as error:
            if overtaken and error.refusal in (Refusal.STALE_METADATA, Refusal.BAD_SIGNATURE):
                self._documents.waiting = raw
                return self.refresh()
            if error.refusal is Refusal.STALE_METADATA:  # a mirror behind the times, or a freeze: ask again, later
                self._documents.waiting = raw
                self._metadata.again = times.steady + wait_s(5, self._jitter("stale"))
            return self._refuse(_digest(raw), error, times)
        return self._accept(raw, desired, times)

    def on_metadata_failed(self, refusal: Refusal | None, text: str, retry_after_s: float | None, times: Times) -> list[DeviceEffect]:
        """Metadata did not come (refusal None), or did not verify; what was known stays, and it is asked for again."""
        known = self._metadata
        jitter = self._jitter(str(known.failures))
        known.asked = False
        known.again = times.steady + (wait_s(known.failures, jitter) if retry_after_s is None else retry_after_s * (1 + jitter / 2))
        known.failures += retry_after_s is None
        if refusal is None or known.told == text:
            return []
        known.told = text
        return [self._noted(Failure(code=refusal.code, text=text, at=times.wall))]

    def refresh(self) -> list[DeviceEffect]:
        """Asks for fresh metadata, unless that is under way."""
        if self._metadata.asked:
            return []
        self._metadata.asked = True
        self._metadata.again = None
        return [RefreshMetadata()]

    def _judge(self, raw: bytes, trusted: Trusted, times: Times) -> Desired:
        facts = self.facts
        return accept_desired(
            raw, keys=trusted.keys, repository=facts.repository, device=facts.name, accepted=self.accepted, now=times.wall
        )

    def _wait_for_metadata(self, raw: bytes, times: Times) -> list[DeviceEffect]:
        self._documents.waiting = raw
        self._metadata.overtaken = self._metadata.asked
        again = self._metadata.again
        return [] if again is not None and again > times.steady else self.refresh()

    def _refuse(self, digest: str, error: Refused, times: Times) -> list[DeviceEffect]:
        """One event per document: a broker that repeats a forged one does not flood the operators."""
        if digest in self._documents.refused:
            return []
        _remember(self._documents.refused, digest, None)
        return [self._noted(Failure(code=error.refusal.code, text=str(error)[:500], at=times.wall))]

    def _noted(self, failure: Failure) -> Tell:
        self.refusals = [*self.refusals, failure][-_MAX_REFUSALS:]
        return Tell(slot="", kind="refused", text=failure.text, failure=failure)

    def _accept(self, raw: bytes, desired: Desired, times: Times) -> list[DeviceEffect]:
        if self.accepted and desired.generation > self.accepted.generation:
            self._supersede(times)
        self._documents.accepted = desired
        self._documents.waiting = None
        _remember(self._documents.digests, _digest(raw), float("inf"))
        kept: list[DeviceEffect] = [KeepAccepted(raw, desired.issued)]
        kept.append(Tell(slot="", kind="accepted", text=f"generation {desired.generation} is accepted"))
        spread = self.facts.spread_s * self._jitter(str(desired.generation))
        return kept + self._wish(desired, spread, times)

    def _supersede(self, times: Times) -> None:
        """What was accepted before may still come in a late answer; after a while it is a replay, and operators shall see it."""
        for digest, until in self._documents.digests.items():
            self._documents.digests[digest] = min(until, times.steady + _LATE_S)

    def _wish(self, desired: Desired, spread_s: float, times: Times) -> list[DeviceEffect]:
        effects: list[DeviceEffect] = []
        for slot in sorted({*self.slots, *desired.slots}):
            content = desired.slots.get(slot)
            target = Target(content=content, generation=desired.generation, gates=desired.gates) if content else None
            effects += self.on_slot(slot, Wished(target=target, spread_s=spread_s), times)
        return effects

    def _jitter(self, salt: str) -> float:
        """A number in [0, 1) that is this device's own and the same every time."""
        return jitter(f"{self.facts.name} {salt}")

    # --- slots -------------------------------------------------------------------------------------------------------

    def on_slot(self, slot: str, event: SlotEvent, times: Times) -> list[DeviceEffect]:
        """Something happened to one slot; an event for a slot that is gone is ignored."""
        state = self.slots.get(slot)
        if state is None and not (isinstance(event, Wished) and event.target is not None):
            return []
        self.slots[slot], effects = step(state or SlotState(slot=slot, worker=Worker(up=self._worker_up)), event, times.steady)
        return self._after(slot, effects)

    def on_every_slot(self, event: SlotEvent, times: Times) -> list[DeviceEffect]:
        """The same event for every slot."""
        return [effect for slot in list(self.slots) for effect in self.on_slot(slot, event, times)]

    def on_worker(self, event: WorkerUp | WorkerDied, times: Times) -> list[DeviceEffect]:
        """The worker listens, holding nothing, or is gone."""
        self._worker_up = isinstance(event, WorkerUp)
        return self.on_every_slot(event, times)

    def on_live(self, slot: str, content: SlotContent, times: Times) -> list[DeviceEffect]:
        """The worker swapped: what served before is remembered as the measure for it."""
        return self.on_slot(slot, NowLive(content=content, before=self._before(slot)), times)

    def on_progress(self, slot: str, done: int, total: int) -> None:
        """A download went on."""
        self._fetched[slot] = (done, total)

    def on_counts(self, counts: Iterable[Counts]) -> None:
        """Requests were served."""
        self.telemetry.add(counts)

    def tick(self, times: Times) -> list[DeviceEffect]:
        """Time went on: waits end, health windows are judged, metadata that failed is asked for again."""
        effects = self.on_every_slot(Tick(), times)
        for slot, state in list(self.slots.items()):
            effects += self._judge_window(slot, state, times)
        if self._metadata.again is not None and self._metadata.again <= times.steady:
            effects += self.refresh()
        return effects

    def _judge_window(self, slot: str, state: SlotState, times: Times) -> list[DeviceEffect]:
        phase, serving = state.phase, state.serving
        if not isinstance(phase, Watching) or serving is None:
            return []
        seen = self.telemetry.seen(slot, serving.content)
        judgement = judge(histogram_of(phase.before), seen, serving.gates, times.steady - phase.since)
        if isinstance(judgement, Pass):
            return self.on_slot(slot, Healthy(content=serving.content), times)
        if isinstance(judgement, Fail):
            return self.on_slot(slot, Unhealthy(content=serving.content, refusal=judgement.refusal, text=judgement.text), times)
        return []

    def _before(self, slot: str) -> Sketch | None:
        state = self.slots.get(slot)
        if state is None or state.serving is None:
            return None
        before = self.telemetry.before(slot, state.serving.content)
        return to_sketch(before) if before.count else None

    def _after(self, slot: str, effects: list[Effect]) -> list[DeviceEffect]:
        state = self.slots[slot]
        check(state)
        self._watch(slot, state)
        if any(isinstance(effect, Forget) for effect in effects):
            del self.slots[slot]
            self._fetched.pop(slot, None)
        return list(effects)

    def _watch(self, slot: str, state: SlotState) -> None:
        if isinstance(state.phase, Watching) and state.serving:
            self.telemetry.watch(slot, state.serving.content, state.phase.since)

    # --- what is told ------------------------------------------------------------------------------------------------

    def needed(self) -> set[SlotContent]:
        """What must stay on disk."""
        return {content for state in self.slots.values() for content in _needed(state)}

    def is_updating(self) -> bool:
        """Whether an update of any slot is under way."""
        return any(not isinstance(state.phase, (Resting, Watching)) for state in self.slots.values())

    def report(self, wall: float) -> Reported:
        """The whole truth, to be sent whenever any of it changed."""
        return Reported(
            device=self.facts.name,
            boot=self.facts.boot,
            generation=self.accepted.generation if self.accepted else 0,
            at=wall,
            capabilities=self.facts.capabilities,
            slots={slot: slot_report(state, self._fetched.get(slot, (0, 0))) for slot, state in sorted(self.slots.items())},
            refusals=self.refusals,
        )


def _needed(state: SlotState) -> list[SlotContent]:
    held = [one.content for one in (state.serving, state.previous) if one]
    pending = [] if isinstance(state.phase, (Resting, Watching)) else [state.phase.target.content]
    return held + pending + ([state.worker.live] if state.worker.live else [])


def jitter(text: str) -> float:
    """A number in [0, 1) made of the text, the same every time."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _remember(known: OrderedDict[str, T], digest: str, value: T) -> None:
    known[digest] = value
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
