"""From the updater's states to what the device says of itself. Pure."""

from __future__ import annotations

from argosy.protocol.reported import Phase, Progress, ServingState, SlotReport
from argosy_agent.updater.state import Fetching, Loading, Proving, Queued, Resting, SlotState, Swapping, Watching

_PHASES: dict[type, Phase] = {
    Queued: Phase.QUEUED,
    Fetching: Phase.FETCHING,
    Proving: Phase.PROVING,
    Loading: Phase.LOADING,
    Swapping: Phase.LOADING,
    Watching: Phase.WATCHING,
}


def slot_report(state: SlotState, fetched: tuple[int, int] = (0, 0)) -> SlotReport:
    """How one slot is reported.

    Args:
        fetched: bytes done and bytes in all of a download under way.
    """
    serving = state.serving
    return SlotReport(
        state=serving_state(state),
        content=serving.content if serving else None,
        confirmed=serving.confirmed if serving else False,
        generation=serving.generation if serving else 0,
        update=_progress(state, fetched),
        failure=state.failure,
    )


def serving_state(state: SlotState) -> ServingState:
    """What the slot does now, as the worker confirmed it."""
    if state.serving is None:
        return ServingState.EMPTY
    content = state.serving.content
    if state.worker.live == content:
        return ServingState.SERVING
    return ServingState.FAILED if state.worker.broken == content else ServingState.STARTING


def _progress(state: SlotState, fetched: tuple[int, int]) -> Progress | None:
    phase = state.phase
    if isinstance(phase, Resting):
        return None
    if isinstance(phase, Watching):
        assert state.serving is not None
        content = state.serving.content
    else:
        content = phase.target.content
    done, total = fetched if isinstance(phase, Fetching) else (0, 0)
    return Progress(version=content.version, variant=content.variant, phase=_PHASES[type(phase)], done_bytes=done, total_bytes=total)
