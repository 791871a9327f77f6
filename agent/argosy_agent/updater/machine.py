"""The updater of one slot: `step(state, event, now) -> (state, effects)`. Pure: no clock, file, thread or randomness.

An event is first taken in by its handler (table `_HANDLERS`), which only notes what happened; then the rules (table
`_RULES`) add whatever may be done *now*, over and over until none applies. There is no script of the future, so a crash,
a newer wish or a dead worker in any phase needs no case of its own. An answer to a question that is not open any more is
ignored: it comes from a job that was given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from msgspec.structs import replace

from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Failure, Refusal
from argosy_agent.updater.state import (
    Abandon,
    CandidateLoaded,
    Effect,
    Fetched,
    FetchFailed,
    Fetching,
    Follow,
    Forget,
    Healthy,
    Held,
    Loading,
    LoadRefused,
    NowEmpty,
    NowLive,
    OrderDiscard,
    OrderEmpty,
    OrderLoad,
    OrderSwap,
    Persist,
    ProofFailed,
    Proved,
    Proving,
    Queued,
    Resting,
    SlotEvent,
    SlotState,
    StartFetch,
    StartProof,
    Swapping,
    Target,
    Tell,
    Tick,
    Tidy,
    Unhealthy,
    Verdict,
    Watching,
    Wished,
    Worker,
    WorkerDied,
    WorkerUp,
)

#: How often the worker may die over a candidate before the candidate is blamed: once may be somebody else's doing.
MAX_DEATHS = 2
_LONGEST_WAIT_S = 300.0
_SHED_WAIT_S = 5.0
#: A confirmed version that could not be loaded is tried again after so many seconds.
_RELOAD_S = 60.0
_MAX_ROUNDS = 12

Outcome = tuple[SlotState, list[Effect]]


def step(state: SlotState, event: SlotEvent, now: float) -> Outcome:
    """What the slot is after `event`, and what to do, in this order.

    Args:
        state: as it was left by the last step (or by `resume`).
        event: what happened.
        now: seconds since 1970, not below the time floor.
    """
    after, effects = _HANDLERS[type(event)](state, event, now)
    after, more = _advance(after, now)
    return after, _complete(state, after, effects + more)


def resume(stored: SlotState, now: float) -> Outcome:
    """What to do with a state that was read after a start: the worker holds nothing, open questions are asked again.

    What was being loaded or swapped goes through fetch, check and proof again: nothing in memory is left of it, and the
    files may have suffered in the crash.
    """
    phase = stored.phase
    if isinstance(phase, (Queued, Fetching)):
        phase = Queued(target=phase.target, attempt=phase.attempt)
    elif isinstance(phase, (Proving, Loading)):
        phase = Queued(target=phase.target)
    elif isinstance(phase, (Swapping, Watching)):  # a wish that came during the swap may be another one: the rules look at it
        phase = Resting()
    state, effects = _advance(replace(stored, phase=phase, worker=Worker()), now)
    return state, [*_complete(stored, state, effects), Follow(slot=state.slot, held=state.serving)]


def wait_s(attempt: int, jitter: float) -> float:
    """Seconds before try number `attempt` + 1: doubling from one second to five minutes, spread by half of itself."""
    return min(2.0 ** min(attempt, 16), _LONGEST_WAIT_S) * (1 + jitter / 2)


# --- taking an event in --------------------------------------------------------------------------------------------


def _wished(state: SlotState, event: Wished, now: float) -> Outcome:
    target = event.target
    state = replace(state, wanted=target, worker=replace(state.worker, broken=None))
    if target is not None and state.serving is not None and state.serving.content == target.content:
        state = replace(state, serving=replace(state.serving, generation=target.generation, gates=target.gates))
    pending, effects = _pending(state), list[Effect]()
    if isinstance(state.phase, Swapping):
        return state, []
    if pending is not None and target is not None and pending.content == target.content:
        return replace(state, phase=replace(state.phase, target=target)), []
    if pending is not None:
        state, effects = _given_up(state)
    if target is not None and _may_begin(state):
        state = replace(state, phase=Queued(target=target, due=now + event.spread_s))
    return state, effects


def _given_up(state: SlotState) -> Outcome:
    """Ends the update under way, whatever its phase (but Swapping, which is never interrupted)."""
    phase, worker, effects = state.phase, state.worker, list[Effect]()
    if isinstance(phase, (Fetching, Proving)):
        effects.append(Abandon(slot=state.slot, job=phase.job))
    if isinstance(phase, Loading) and phase.held.content in (worker.asked, worker.loaded):
        effects.append(OrderDiscard(slot=state.slot))
        worker = replace(worker, asked=None, loaded=None)
    return replace(state, phase=Resting(), worker=worker), effects


def _ticked(state: SlotState, event: Tick, now: float) -> Outcome:
    return state, []


def _fetched(state: SlotState, event: Fetched, now: float) -> Outcome:
    phase = state.phase
    if not isinstance(phase, Fetching) or phase.job != event.job:
        return state, []
    job = state.jobs + 1
    proving = Proving(target=phase.target, folder=event.folder, runtime=event.runtime, job=job)
    proof = StartProof(slot=state.slot, target=phase.target, folder=event.folder, runtime=event.runtime, job=job)
    return replace(state, jobs=job, phase=proving), [_tell(state, "fetched", phase.target.content, "is here and verified"), proof]


def _fetch_failed(state: SlotState, event: FetchFailed, now: float) -> Outcome:
    phase = state.phase
    if not isinstance(phase, Fetching) or phase.job != event.job:
        return state, []
    if event.shed:
        delay = (_SHED_WAIT_S if event.retry_after_s is None else event.retry_after_s) * (1 + event.jitter / 2)
        return replace(state, phase=Queued(target=phase.target, attempt=phase.attempt, due=now + delay)), []
    if event.refusal.about_artifact:
        return _refused(state, phase.target, event.refusal, event.text, now)
    queued = Queued(target=phase.target, attempt=phase.attempt + 1, due=now + wait_s(phase.attempt, event.jitter))
    failure = _failure(state.slot, phase.target, event.refusal, event.text, now)
    told_already = state.failure is not None and (state.failure.code, state.failure.generation) == (failure.code, failure.generation)
    text = f"{failure.text}; it is tried again"
    tell = [] if told_already else [Tell(slot=state.slot, kind="waiting", text=text, failure=failure)]
    return replace(state, phase=queued, failure=failure), list[Effect](tell)


def _proved(state: SlotState, event: Proved, now: float) -> Outcome:
    phase = state.phase
    if not isinstance(phase, Proving) or phase.job != event.job:
        return state, []
    target = phase.target
    held = Held(content=target.content, generation=target.generation, folder=phase.folder, runtime=event.runtime, gates=target.gates)
    tell = _tell(state, "proved", target.content, f"passed its proof on {event.runtime}")
    return replace(state, phase=Loading(target=target, held=held)), [tell]


def _proof_failed(state: SlotState, event: ProofFailed, now: float) -> Outcome:
    phase = state.phase
    if not isinstance(phase, Proving) or phase.job != event.job:
        return state, []
    return _refused(state, phase.target, event.refusal, event.text, now)


def _worker_up(state: SlotState, event: WorkerUp, now: float) -> Outcome:
    return replace(state, worker=Worker(up=True)), []


def _worker_died(state: SlotState, event: WorkerDied, now: float) -> Outcome:
    was, effects = state.worker, list[Effect]()
    state = replace(state, worker=Worker())
    if isinstance(state.phase, (Loading, Swapping)):
        state, effects = _candidate_died(state, was, event, now)
    serving = state.serving
    if event.blame and serving is not None and not serving.confirmed and serving.content in (was.live, was.asked, was.swapping):
        state, more = _back(state, Refusal.WORKER_DIED, event.text, now)
        effects += more
    return state, effects


def _candidate_died(state: SlotState, was: Worker, event: WorkerDied, now: float) -> Outcome:
    phase = state.phase
    assert isinstance(phase, (Loading, Swapping))
    if state.wanted != phase.target:  # another wish came during the swap: this candidate is not tried again
        return replace(state, phase=Resting()), []
    involved = event.blame and phase.held.content in (was.asked, was.loaded, was.swapping)
    deaths = phase.deaths + involved
    if deaths >= MAX_DEATHS:
        return _refused(state, phase.target, Refusal.START_FAILED, event.text, now)
    return replace(state, phase=Loading(target=phase.target, held=phase.held, deaths=deaths)), []


def _loaded(state: SlotState, event: CandidateLoaded, now: float) -> Outcome:
    if state.worker.asked != event.content:
        return state, []
    return replace(state, worker=replace(state.worker, asked=None, loaded=event.content)), []


def _load_refused(state: SlotState, event: LoadRefused, now: float) -> Outcome:
    was, phase = state.worker, state.phase
    subject = event.content or was.swapping
    if subject is None or subject not in (was.asked, was.loaded, was.swapping):
        return state, []
    state = replace(state, worker=replace(was, asked=None, loaded=None, swapping=None))
    if isinstance(phase, Swapping) and subject == phase.held.content:  # the candidate was lost: once more, then it is to blame
        return _candidate_died(state, was, WorkerDied(text=event.text), now)
    if isinstance(phase, Loading) and subject == phase.held.content:
        return _refused(state, phase.target, Refusal.START_FAILED, event.text, now)
    return _serving_broken(state, subject, event.text, now)


def _serving_broken(state: SlotState, content: SlotContent, text: str, now: float) -> Outcome:
    serving = state.serving
    if serving is None or serving.content != content:
        return state, []
    if not serving.confirmed:
        return _back(state, Refusal.START_FAILED, text, now)
    target = Target(content=content, generation=serving.generation, gates=serving.gates)
    failure = _failure(state.slot, target, Refusal.START_FAILED, text, now)
    told = state.failure is not None and (state.failure.code, state.failure.generation) == (failure.code, failure.generation)
    state = replace(state, worker=replace(state.worker, broken=content, retry=now + _RELOAD_S), failure=failure)
    return state, [] if told else [Tell(slot=state.slot, kind="refused", text=failure.text, failure=failure)]


def _now_live(state: SlotState, event: NowLive, now: float) -> Outcome:
    state = replace(state, worker=replace(state.worker, live=event.content, loaded=None, swapping=None, broken=None))
    phase = state.phase
    if not isinstance(phase, Swapping) or phase.held.content != event.content:
        return state, []
    old = state.serving
    # What was itself never confirmed is no way back and no measure.
    kept = old if old is not None and old.confirmed else state.previous
    before = event.before if old is not None and old.confirmed else state.before
    tell = _tell(state, "swapped", event.content, "serves now; its health window begins")
    return replace(state, serving=phase.held, previous=kept, before=before, phase=Resting()), [tell]


def _now_empty(state: SlotState, event: NowEmpty, now: float) -> Outcome:
    worker = state.worker
    if not worker.emptying:
        return state, []
    return replace(state, worker=replace(worker, live=None, loaded=None, asked=None, swapping=None, emptying=False)), []


def _healthy(state: SlotState, event: Healthy, now: float) -> Outcome:
    serving = state.serving
    if not isinstance(state.phase, Watching) or serving is None or serving.content != event.content:
        return state, []
    tell = _tell(state, "confirmed", event.content, "is confirmed")
    confirmed = replace(serving, confirmed=True)
    return replace(state, serving=confirmed, phase=Resting(), failure=None, before=None), [tell, Tidy()]


def _unhealthy(state: SlotState, event: Unhealthy, now: float) -> Outcome:
    serving = state.serving
    if not isinstance(state.phase, Watching) or serving is None or serving.content != event.content:
        return state, []
    return _back(state, event.refusal, event.text, now)


_HANDLERS: dict[type, Callable[[SlotState, Any, float], Outcome]] = {
    Wished: _wished,
    Tick: _ticked,
    Fetched: _fetched,
    FetchFailed: _fetch_failed,
    Proved: _proved,
    ProofFailed: _proof_failed,
    WorkerUp: _worker_up,
    WorkerDied: _worker_died,
    CandidateLoaded: _loaded,
    LoadRefused: _load_refused,
    NowLive: _now_live,
    NowEmpty: _now_empty,
    Healthy: _healthy,
    Unhealthy: _unhealthy,
}


# --- verdicts ------------------------------------------------------------------------------------------------------


def _refused(state: SlotState, target: Target, refusal: Refusal, text: str, now: float) -> Outcome:
    """A candidate that never served is refused for good; what serves never noticed."""
    failure = _failure(state.slot, target, refusal, text, now)
    verdict = Verdict(content=target.content, generation=target.generation)
    tell = Tell(slot=state.slot, kind="refused", text=failure.text, failure=failure)
    return replace(state, phase=Resting(), refused=verdict, failure=failure), [tell, Tidy()]


def _back(state: SlotState, refusal: Refusal, text: str, now: float) -> Outcome:
    """What served is taken back: the previous confirmed content should serve again, or nothing where there was none."""
    serving, previous = state.serving, state.previous
    assert serving is not None
    target = Target(content=serving.content, generation=serving.generation, gates=serving.gates)
    failure = _failure(state.slot, target, refusal, text, now)
    to = "nothing, there was none before" if previous is None else _name(previous.content)
    tell = Tell(slot=state.slot, kind="went-back", text=f"{_name(serving.content)} goes back to {to}: {failure.text}", failure=failure)
    verdict = Verdict(content=serving.content, generation=serving.generation)
    phase = Resting() if isinstance(state.phase, Watching) else state.phase
    state = replace(state, serving=previous, previous=None, phase=phase, refused=verdict, failure=failure, before=None)
    return state, [tell]


def _failure(slot: str, target: Target, refusal: Refusal, text: str, now: float) -> Failure:
    content = target.content
    sentence = text if text.startswith(refusal.sentence) else f"{refusal.sentence}: {text}" if text else refusal.sentence
    return Failure(
        code=refusal.code, text=sentence[:500], at=now, generation=target.generation, slot=slot,
        model=content.model, version=content.version, variant=content.variant,
    )  # fmt: skip


def _name(content: SlotContent) -> str:
    return f"{content.model}@{content.version} ({content.variant})"


def _tell(state: SlotState, kind: str, content: SlotContent, what: str) -> Effect:
    return Tell(slot=state.slot, kind=kind, text=f"{_name(content)} {what}")


# --- what may be done now ------------------------------------------------------------------------------------------


def _advance(state: SlotState, now: float) -> Outcome:
    effects: list[Effect] = []
    for _ in range(_MAX_ROUNDS):
        for rule in _RULES:
            outcome = rule(state, now)
            if outcome is not None:
                state, more = outcome
                effects += more
                break
        else:
            return state, effects
    raise AssertionError(f"the updater's rules do not come to rest: {state}")


def _rule_unwanted(state: SlotState, now: float) -> Outcome | None:
    """Not wanted any more: nothing should serve here."""
    if state.wanted is not None or isinstance(state.phase, Swapping):
        return None
    if state.serving is None and state.previous is None and _pending(state) is None:
        return None
    given_up, effects = _given_up(state)
    return replace(given_up, serving=None, previous=None, failure=None, refused=None, before=None), effects


def _rule_begin(state: SlotState, now: float) -> Outcome | None:
    """Something else is wanted than what serves; a health window under way is overtaken by it."""
    if not isinstance(state.phase, (Resting, Watching)) or not _may_begin(state):
        return None
    assert state.wanted is not None
    return replace(state, phase=Queued(target=state.wanted, due=now)), []


def _rule_due(state: SlotState, now: float) -> Outcome | None:
    """The wait is over."""
    phase = state.phase
    if not isinstance(phase, Queued) or phase.due > now:
        return None
    job = state.jobs + 1
    fetching = Fetching(target=phase.target, attempt=phase.attempt, job=job)
    return replace(state, jobs=job, phase=fetching), [StartFetch(slot=state.slot, target=phase.target, job=job)]


def _rule_unwatch(state: SlotState, now: float) -> Outcome | None:
    """The worker lost what was watched: the health window begins again once it serves again."""
    serving = state.serving
    if not isinstance(state.phase, Watching) or (serving is not None and state.worker.live == serving.content):
        return None
    return replace(state, phase=Resting()), []


def _rule_watch(state: SlotState, now: float) -> Outcome | None:
    """What serves was never confirmed: its health window begins (again)."""
    serving = state.serving
    if serving is None or serving.confirmed or not isinstance(state.phase, Resting) or state.worker.live != serving.content:
        return None
    return replace(state, phase=Watching(since=now, before=state.before)), []


def _rule_serve(state: SlotState, now: float) -> Outcome | None:
    """The worker serves something else than it should: after a start, after a death, on the way back."""
    worker, serving = state.worker, state.serving
    should = serving.content if serving else None
    if not worker.up or worker.busy or worker.live == should:
        return None
    if serving is None:
        return replace(state, worker=replace(worker, emptying=True)), [OrderEmpty(slot=state.slot)]
    if worker.broken == should:
        return None if now < worker.retry else (replace(state, worker=replace(worker, broken=None)), [])
    if worker.loaded == should:
        return replace(state, worker=replace(worker, swapping=should, loaded=None)), [OrderSwap(slot=state.slot)]
    return replace(state, worker=replace(worker, asked=should, loaded=None)), [OrderLoad(slot=state.slot, held=serving)]


def _rule_candidate(state: SlotState, now: float) -> Outcome | None:
    """The candidate is proved and the worker is free: load it beside, then let it serve."""
    worker, phase = state.worker, state.phase
    settled = worker.live == (state.serving.content if state.serving else None) or worker.broken is not None
    if not isinstance(phase, Loading) or not worker.up or worker.busy or not settled:
        return None
    content = phase.held.content
    if worker.loaded != content:
        return replace(state, worker=replace(worker, asked=content, loaded=None)), [OrderLoad(slot=state.slot, held=phase.held)]
    swapping = Swapping(target=phase.target, held=phase.held, deaths=phase.deaths)
    return replace(state, phase=swapping, worker=replace(worker, swapping=content, loaded=None)), [OrderSwap(slot=state.slot)]


def _rule_discard(state: SlotState, now: float) -> Outcome | None:
    """A candidate that nobody waits for takes memory."""
    worker = state.worker
    wanted = state.phase.held.content if isinstance(state.phase, Loading) else None
    if worker.loaded is None or worker.loaded in (wanted, state.serving.content if state.serving else None):
        return None
    return replace(state, worker=replace(worker, loaded=None)), [OrderDiscard(slot=state.slot)]


_RULES: tuple[Callable[[SlotState, float], Optional[Outcome]], ...] = (  # noqa: UP045 -- evaluated on 3.10
    _rule_unwanted,
    _rule_begin,
    _rule_due,
    _rule_unwatch,
    _rule_watch,
    _rule_discard,
    _rule_serve,
    _rule_candidate,
)


def _pending(state: SlotState) -> Target | None:
    """What an update under way is about."""
    return None if isinstance(state.phase, (Resting, Watching)) else state.phase.target


def _may_begin(state: SlotState) -> bool:
    wanted, refused = state.wanted, state.refused
    if wanted is None or (state.serving is not None and state.serving.content == wanted.content):
        return False
    return refused is None or (refused.content, refused.generation) != (wanted.content, wanted.generation)


def _complete(before: SlotState, after: SlotState, effects: list[Effect]) -> list[Effect]:
    """Adds what follows from the difference: the record first, what in-process users follow, the end of an unwanted slot."""
    first: list[Effect] = []
    if replace(before, worker=Worker()) != replace(after, worker=Worker()):
        first.append(Persist(state=replace(after, worker=Worker())))
    if (before.serving and before.serving.content) != (after.serving and after.serving.content):
        first.append(Follow(slot=after.slot, held=after.serving))
    done = after.wanted is None and after.serving is None and after.worker.live is None and not after.worker.busy
    if done and isinstance(after.phase, Resting):
        return [*effects, Follow(slot=after.slot, held=None), Forget(slot=after.slot), Tidy()]
    return first + effects
