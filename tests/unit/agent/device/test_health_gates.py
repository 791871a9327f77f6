"""The device gates as a table, and their laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.histogram import Histogram
from argosy.protocol.desired import Gates
from argosy.protocol.refusals import Refusal
from argosy_agent.health import Fail, Pass, Seen, Wait, judge

GATES = Gates(window_s=10.0, max_error_share=0.01, max_latency_ratio=2.0, min_requests=200)


def latency(milliseconds: float, count: int) -> Histogram:
    histogram = Histogram()
    histogram.record(int(milliseconds * 1e6), count)
    return histogram


def seen(milliseconds: float = 1.0, good: int = 0, errors: int = 0) -> Seen:
    return Seen(good + errors, errors, latency(milliseconds, good))


BEFORE = latency(1.0, 1000)
CASES = [
    # what, before, seen, elapsed, outcome
    ("idle, early", BEFORE, seen(), 5.0, Wait),
    ("idle, over", BEFORE, seen(), 10.0, Pass),
    ("nothing served before, slow", None, seen(100, 1000), 10.0, Pass),
    ("too few before", latency(1.0, 199), seen(100, 1000), 10.0, Pass),
    ("too few seen", BEFORE, seen(100, 199), 10.0, Pass),
    ("as fast", BEFORE, seen(1.0, 1000), 10.0, Pass),
    ("a little slower", BEFORE, seen(1.9, 1000), 10.0, Pass),
    ("slower than allowed, over", BEFORE, seen(2.5, 1000), 10.0, Refusal.TOO_SLOW),
    ("slower than allowed, not clearly, early", BEFORE, seen(2.5, 1000), 5.0, Wait),
    ("much slower, early", BEFORE, seen(8.0, 1000), 5.0, Refusal.TOO_SLOW),
    ("much slower, in the first seconds", BEFORE, seen(8.0, 1000), 2.0, Wait),
    ("one error says nothing", BEFORE, seen(1.0, 5, 1), 10.0, Pass),
    ("all fail, early", BEFORE, seen(1.0, 0, 20), 0.5, Refusal.TOO_MANY_ERRORS),
    ("all fail, too few to tell early", BEFORE, seen(1.0, 0, 19), 0.5, Wait),
    ("few requests, all fail, over", BEFORE, seen(1.0, 0, 3), 10.0, Refusal.TOO_MANY_ERRORS),
    ("errors within what is allowed", BEFORE, seen(1.0, 1000, 10), 10.0, Pass),
    ("errors beyond what is allowed", BEFORE, seen(1.0, 1000, 12), 10.0, Refusal.TOO_MANY_ERRORS),
]


@pytest.mark.parametrize(("before", "what", "elapsed", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_gates(before: Histogram | None, what: Seen, elapsed: float, outcome: object) -> None:
    judgement = judge(before, what, GATES, elapsed)
    if isinstance(outcome, Refusal):
        assert isinstance(judgement, Fail)
        assert judgement.refusal is outcome
        assert judgement.text
    else:
        assert isinstance(judgement, outcome)  # type: ignore[arg-type]


@given(st.integers(0, 5000), st.integers(0, 200), st.floats(0.01, 100), st.floats(0, 30))
def test_no_window_waits_for_ever(good: int, errors: int, milliseconds: float, elapsed: float) -> None:
    judgement = judge(BEFORE, seen(milliseconds, good, errors), GATES, elapsed)
    assert isinstance(judgement, Wait) is (elapsed < GATES.window_s and not isinstance(judgement, Fail))


@given(st.integers(200, 5000), st.floats(1.0, 2.0))
def test_what_is_within_twice_as_slow_never_goes_back(good: int, ratio: float) -> None:
    """Up to the sketch's own error of 0.55 % on either side."""
    for elapsed in (0.0, 3.0, 9.9, 10.0):
        assert not isinstance(judge(BEFORE, seen(ratio * 0.985, good), GATES, elapsed), Fail)
