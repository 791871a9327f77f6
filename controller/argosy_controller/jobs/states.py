"""How a build stands, and what may happen to it. Pure: no clock, no files, no database.

    queued --start--> running --finish--> succeeded
      |  ^              |  |
      |  +--interrupt---+  +--fail-----> failed
      +--cancel--> cancelled <--cancel---+   (from queued and from running)

A build that has ended never changes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from argosy.errors import Conflict

#: A build that ends the controller each time it runs must not be started for ever.
MOST_STARTS = 5


class State(StrEnum):
    """Where a build is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Happening(StrEnum):
    """What can happen to it. `interrupt`: the controller ended while it ran."""

    START = "start"
    INTERRUPT = "interrupt"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

#: All that may happen; what is not here is refused.
TRANSITIONS: dict[tuple[State, Happening], State] = {
    (State.QUEUED, Happening.START): State.RUNNING,
    (State.QUEUED, Happening.CANCEL): State.CANCELLED,
    (State.QUEUED, Happening.FAIL): State.FAILED,
    (State.RUNNING, Happening.FINISH): State.SUCCEEDED,
    (State.RUNNING, Happening.FAIL): State.FAILED,
    (State.RUNNING, Happening.CANCEL): State.CANCELLED,
    (State.RUNNING, Happening.INTERRUPT): State.QUEUED,
}


def after(state: State, happening: Happening) -> State:
    """The state after something happened.

    Raises:
        Conflict: it cannot happen in this state.
    """
    found = TRANSITIONS.get((state, happening))
    if found is None and state in ENDED:
        raise Conflict(f"this build has ended already ({state}): nothing was changed")
    if found is None:
        raise Conflict(f"a build that is {state} cannot {happening}: nothing was changed")
    return found


@dataclass(frozen=True)
class Job:
    """What decisions look at. `starts`: how often it was started."""

    number: int
    state: State
    starts: int = 0


def next_to_start(jobs: Sequence[Job], at_once: int) -> Job | None:
    """The queued build that is to start now: the oldest one, if fewer than `at_once` run."""
    if sum(one.state is State.RUNNING for one in jobs) >= at_once:
        return None
    return min((one for one in jobs if one.state is State.QUEUED), key=lambda one: one.number, default=None)


def after_restart(job: Job) -> Happening | None:
    """What happens to a build at the controller's start: a running one goes back to the queue, unless it was started too often."""
    if job.state is not State.RUNNING:
        return None
    return Happening.FAIL if job.starts >= MOST_STARTS else Happening.INTERRUPT


def to_forget(jobs: Sequence[Job], keep: int) -> list[Job]:
    """Ended builds beyond the newest `keep`."""
    ended = sorted((one for one in jobs if one.state in ENDED), key=lambda one: -one.number)
    return ended[keep:]
