"""The state machine of builds: the whole table, and laws over random histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import Conflict
from argosy_controller.jobs.states import (
    ENDED,
    MOST_STARTS,
    TRANSITIONS,
    Happening,
    Job,
    State,
    after,
    after_restart,
    next_to_start,
    to_forget,
)

Q, R, S, F, C = State.QUEUED, State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED

#: State by state: what follows each happening, None where it is refused.
TABLE = {
    Q: {"start": R, "interrupt": None, "finish": None, "fail": F, "cancel": C},
    R: {"start": None, "interrupt": Q, "finish": S, "fail": F, "cancel": C},
    S: dict.fromkeys(Happening),
    F: dict.fromkeys(Happening),
    C: dict.fromkeys(Happening),
}
jobs = st.lists(st.tuples(st.sampled_from(State), st.integers(0, 9)), max_size=30).map(
    lambda rows: [Job(number, state, starts) for number, (state, starts) in enumerate(rows, start=1)]
)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happening", Happening)
def test_every_happening_in_every_state_does_what_the_table_says(state: State, happening: Happening) -> None:
    wanted = TABLE[state][happening]
    if wanted is None:
        with pytest.raises(Conflict, match=r"ended already" if state in ENDED else f"a build that is {state} cannot {happening}"):
            after(state, happening)
    else:
        assert after(state, happening) is wanted


def test_table_of_transitions_holds_nothing_else() -> None:
    assert {(state, Happening(how)): to for state, row in TABLE.items() for how, to in row.items() if to is not None} == TRANSITIONS


@given(st.lists(st.sampled_from(Happening), max_size=40))
def test_no_history_leaves_an_ended_state_or_registers_twice(history: list[Happening]) -> None:
    state, finished = Q, 0
    for happening in history:
        was = state
        try:
            state = after(state, happening)
        except Conflict:
            continue
        assert was not in ENDED
        finished += state is S
    assert finished <= 1


@given(jobs, st.integers(0, 4))
def test_starts_the_oldest_waiting_build_and_never_too_many(found: list[Job], at_once: int) -> None:
    running = sum(one.state is R for one in found)
    chosen = next_to_start(found, at_once)
    waiting = [one.number for one in found if one.state is Q]
    if chosen is None:
        assert running >= at_once or not waiting
    else:
        assert running < at_once and chosen.number == min(waiting)


@given(jobs)
def test_after_a_restart_nothing_is_running_and_endless_crashes_end(found: list[Job]) -> None:
    for one in found:
        happening = after_restart(one)
        state = one.state if happening is None else after(one.state, happening)
        assert state is not R
        assert (state is F) == (one.state is F or (one.state is R and one.starts >= MOST_STARTS))


@given(jobs, st.integers(0, 10))
def test_only_ended_builds_are_forgotten_and_the_newest_stay(found: list[Job], keep: int) -> None:
    gone = to_forget(found, keep)
    ended = [one for one in found if one.state in ENDED]
    assert all(one.state in ENDED for one in gone)
    assert len(gone) == max(0, len(ended) - keep)
    assert not gone or max(one.number for one in gone) < min((one.number for one in ended if one not in gone), default=99)
