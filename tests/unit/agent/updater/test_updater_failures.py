"""One table: in which phase what goes wrong, and what must serve, be told and be tried afterwards. Add a failure by adding a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from slot_double import SlotDouble, content, target

from argosy.protocol.refusals import Refusal
from argosy_agent.updater.state import (
    CandidateLoaded,
    FetchFailed,
    Healthy,
    LoadRefused,
    OrderLoad,
    OrderSwap,
    ProofFailed,
    Queued,
    Resting,
    SlotEvent,
    StartFetch,
    StartProof,
    Tick,
    Unhealthy,
    Watching,
    Wished,
    WorkerDied,
    WorkerUp,
)

Happening = Callable[[SlotDouble], SlotEvent]


def _fetch(refusal: Refusal, **more: object) -> Happening:
    return lambda slot: FetchFailed(job=slot.state.jobs, refusal=refusal, text="it is so", **more)  # type: ignore[arg-type]


def _proof(refusal: Refusal) -> Happening:
    return lambda slot: ProofFailed(job=slot.state.jobs, refusal=refusal, text="it is so")


def _load(slot: SlotDouble) -> SlotEvent:
    return LoadRefused(content=content(2), text="no")


def _unhealthy(refusal: Refusal) -> Happening:
    return lambda slot: Unhealthy(content=content(2), refusal=refusal, text="p95 4 ms")


def _died(slot: SlotDouble) -> SlotEvent:
    return WorkerDied(text="signal 11")


FINAL = [
    (StartFetch, _fetch(Refusal.WRONG_BYTES), "refused"),
    (StartFetch, _fetch(Refusal.UNKNOWN_TARGET), "refused"),
    (StartFetch, _fetch(Refusal.NOT_RUNNABLE), "refused"),
    (StartProof, _proof(Refusal.PROBE_CRASHED), "refused"),
    (StartProof, _proof(Refusal.PROBE_NUMBERS), "refused"),
    (StartProof, _proof(Refusal.PROBE_TIMEOUT), "refused"),
    (OrderLoad, _load, "refused"),
    (None, _unhealthy(Refusal.TOO_SLOW), "went-back"),
    (None, _unhealthy(Refusal.TOO_MANY_ERRORS), "went-back"),
    (None, _died, "went-back"),
]


@pytest.mark.parametrize(("phase", "happening", "told"), FINAL)
def test_a_verdict_ends_on_the_version_before(phase: type | None, happening: Happening, told: str) -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.answer_all(until=phase)
    slot.happen(happening(slot))
    assert slot.told[-1] == told
    assert not slot.of(StartFetch), "the verdict is final"
    if not slot.state.worker.up:
        slot.happen(WorkerUp())
    slot.answer_all()
    assert (slot.serving, slot.live) == (1, 1)
    assert slot.state.failure and slot.state.failure.version == 2
    slot.now += 10_000
    slot.happen(Tick())
    assert slot.state.phase == Resting(), "not tried again for the same generation"
    slot.happen(Wished(target=target(2, generation=3)))
    assert slot.of(StartFetch), "a newer wish for it is tried"


PASSING = [
    _fetch(Refusal.DOWNLOAD_FAILED),
    _fetch(Refusal.NO_SPACE),
    _fetch(Refusal.UNTRUSTED_METADATA),
    _fetch(Refusal.STALE_METADATA),
]


@pytest.mark.parametrize("happening", PASSING)
def test_what_may_pass_is_tried_again_later(happening: Happening) -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    for attempt in range(1, 12):
        slot.happen(happening(slot))
        assert isinstance(slot.state.phase, Queued)
        assert slot.state.phase.attempt == attempt
        assert slot.now < slot.state.phase.due <= slot.now + 450
        slot.now = slot.state.phase.due
        slot.happen(Tick())
    assert slot.told.count("waiting") == 1, "told once, not at every try"
    assert "refused" not in slot.told, "no verdict"
    slot.answer_all()
    assert slot.live == 2


def test_being_shed_is_not_failing() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.happen(_fetch(Refusal.DOWNLOAD_FAILED, shed=True, retry_after_s=60.0)(slot))
    phase = slot.state.phase
    assert isinstance(phase, Queued)
    assert (phase.attempt, slot.state.failure) == (0, None)
    assert phase.due >= slot.now + 60
    assert "refused" not in slot.told


PHASES = [StartFetch, StartProof, OrderLoad, OrderSwap, None]


@pytest.mark.parametrize("phase", PHASES)
def test_a_power_cut_in_any_phase_still_reaches_the_new_version(phase: type | None) -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.answer_all(until=phase)
    slot.crash()
    assert slot.serving == (2 if phase is None else 1), "what serves after the start is what was known to serve"
    slot.answer_all()
    slot.happen(WorkerUp())
    slot.answer_all()
    assert isinstance(slot.state.phase, Watching)
    slot.happen(Healthy(content=content(2)))
    assert (slot.serving, slot.live, slot.state.phase) == (2, 2, Resting())
    assert slot.state.previous and slot.state.previous.content == content(1)


@pytest.mark.parametrize("phase", PHASES)
def test_a_newer_wish_supersedes_in_any_phase(phase: type | None) -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.answer_all(until=phase)
    asked = slot.of(OrderSwap)
    slot.happen(Wished(target=target(3)))
    if asked:  # never interrupted half-way
        assert not slot.of(StartFetch)
        slot.effects = asked + slot.effects
    slot.answer_all()
    assert slot.live == 3
    assert slot.state.previous and slot.state.previous.content == content(1), "what was never confirmed is no way back"


@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_that_dies_once_is_forgiven_the_candidate(phase: type | None) -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.answer_all(until=phase)
    open_questions = list(slot.effects)
    slot.happen(WorkerDied(text="signal 9"))
    if phase is None:
        assert slot.serving == 1
        assert slot.state.failure and slot.state.failure.code == Refusal.WORKER_DIED.code
        return
    slot.happen(WorkerUp())
    slot.effects = [e for e in open_questions if isinstance(e, (StartFetch, StartProof))] + slot.effects
    slot.answer_all()
    assert slot.live == 2


def test_a_candidate_that_kills_the_worker_twice_is_refused() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    slot.answer_all(until=OrderLoad)
    for _ in range(2):
        slot.happen(WorkerDied(text="signal 11"))
        slot.happen(WorkerUp())
        slot.happen(CandidateLoaded(content=content(1)))
        slot.answer_all(until=OrderLoad)
    assert slot.state.failure and slot.state.failure.code == Refusal.START_FAILED.code
    assert slot.serving == 1


def test_the_first_version_of_a_slot_goes_back_to_nothing() -> None:
    slot = SlotDouble()
    slot.happen(WorkerUp())
    slot.happen(Wished(target=target(1)))
    slot.answer_all()
    slot.happen(Unhealthy(content=content(1), refusal=Refusal.TOO_MANY_ERRORS, text="all"))
    slot.answer_all()
    assert (slot.serving, slot.live) == (None, None)
    assert slot.state.failure and slot.state.failure.code == "too-many-errors"


def test_a_slot_that_is_not_wanted_is_emptied_and_forgotten() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=None))
    slot.answer_all()
    assert slot.disk is None
    assert slot.live is None


def test_an_answer_to_an_old_question_changes_nothing() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(2)))
    old = slot.good_answer(slot.of(StartFetch)[0])
    slot.happen(Wished(target=target(3)))
    before = slot.state
    assert old is not None
    slot.happen(old)
    assert slot.state == before


def test_what_serves_again_is_wished_for_without_any_work() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(Wished(target=target(1, generation=9)))
    assert not slot.of(StartFetch)
    assert slot.state.serving and slot.state.serving.generation == 9


def test_confirmed_version_that_does_not_load_is_tried_again_and_told_once() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.crash()
    slot.happen(WorkerUp())
    for _ in range(3):
        assert slot.of(OrderLoad)
        slot.happen(LoadRefused(content=content(1), text="no memory"))
        assert slot.state.worker.broken == content(1)
        slot.happen(Tick())
        assert not slot.effects, "not at once"
        slot.now += 61
        slot.happen(Tick())
    assert slot.told.count("refused") == 1
    slot.answer_all()
    assert slot.live == 1


def test_slot_whose_confirmed_version_is_broken_still_takes_the_next() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.crash()
    slot.happen(WorkerUp())
    slot.happen(LoadRefused(content=content(1), text="rotten"))
    open_questions = list(slot.happen(Wished(target=target(2))))
    while open_questions:
        effect = open_questions.pop(0)
        rotten = isinstance(effect, OrderLoad) and effect.held.content == content(1)
        event = LoadRefused(content=content(1), text="rotten") if rotten else slot.good_answer(effect)
        open_questions += slot.happen(event) if event else []
    assert slot.live == 2
