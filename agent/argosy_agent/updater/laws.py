"""What always holds for a slot. Every test, the simulator and a debug run of the agent call `check`."""

from __future__ import annotations

from argosy_agent.updater.state import Loading, Resting, SlotState, Swapping, Watching


def check(state: SlotState) -> None:
    """Checks a state.

    Raises:
        AssertionError: with the law that is broken and the whole state.
    """
    for holds, law in _laws(state):
        if not holds:
            raise AssertionError(f"{law}: {state}")


def _laws(state: SlotState) -> list[tuple[bool, str]]:
    serving, previous, phase, worker = state.serving, state.previous, state.phase, state.worker
    orders = (worker.asked is not None) + (worker.swapping is not None) + worker.emptying
    return [
        (previous is None or previous.confirmed, "the way back was confirmed"),
        (previous is None or serving is not None, "a way back belongs to something that serves"),
        (orders <= 1, "the worker has one order at a time"),
        (worker.up or (orders == 0 and worker.live is None and worker.loaded is None), "a worker that is down holds nothing"),
        (not isinstance(phase, Watching) or (serving is not None and not serving.confirmed), "only what is unconfirmed is watched"),
        (
            not isinstance(phase, Watching) or (serving is not None and worker.live == serving.content),
            "only what serves is watched",
        ),
        (
            not isinstance(phase, (Loading, Swapping)) or phase.held.content == phase.target.content,
            "what is loaded is what was wanted",
        ),
        (
            not isinstance(phase, Swapping) or worker.swapping == phase.held.content,
            "a swap under way is the worker's order",
        ),
        (
            isinstance(phase, (Resting, Watching, Swapping)) or state.wanted is not None,
            "nothing is updated that nobody wants",
        ),
        (
            isinstance(phase, (Resting, Watching, Swapping)) or state.wanted is None or phase.target.content == state.wanted.content,
            "the update under way is the newest wish",
        ),
    ]
