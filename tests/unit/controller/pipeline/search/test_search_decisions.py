"""Who is given up, who is on the front, who wins; and what a journal keeps."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.numbers.figures import Measures
from argosy_controller.pipeline.search.choosing import Candidate, front, winner
from argosy_controller.pipeline.search.hopeless import given_up
from argosy_controller.pipeline.search.journal import Journal
from argosy_controller.pipeline.search.outcome import Curve, Look, Outcome

UP = {"accuracy": True, "bytes": False}
BOTH = ("accuracy", "bytes")


def _curve(*losses: float, stage: int = 0) -> Curve:
    return tuple(Look(stage, epoch, loss) for epoch, loss in enumerate(losses, start=1))


EARLIER = [_curve(9, 0.1 * number) for number in range(1, 6)]


def test_a_trial_worse_than_the_median_is_given_up_at_that_epoch() -> None:
    assert given_up(_curve(9, 0.31), EARLIER, 0.5) == 1
    assert given_up(_curve(9, 0.29), EARLIER, 0.5) is None


def test_the_best_loss_so_far_counts() -> None:
    assert given_up(_curve(0.2, 0.9), EARLIER, 0.5) is None


def test_nothing_is_given_up_in_the_first_epoch_or_against_few_others() -> None:
    assert given_up(_curve(99), EARLIER, 0.5) is None
    assert given_up(_curve(9, 99), EARLIER[:3], 0.5) is None


def test_stages_are_compared_with_the_same_stage() -> None:
    assert given_up(_curve(9, 0.9, stage=2), EARLIER, 0.5) is None


losses = st.lists(st.floats(0, 10), min_size=1, max_size=5).map(lambda found: _curve(*found))


@given(losses, st.lists(losses, max_size=12))
def test_full_patience_gives_nothing_up(curve: Curve, earlier: list[Curve]) -> None:
    assert given_up(curve, earlier, 1.0) is None


@given(losses, st.lists(losses, max_size=12), st.floats(0, 0.9))
def test_more_patience_gives_up_no_earlier(curve: Curve, earlier: list[Curve], patience: float) -> None:
    less, more = given_up(curve, earlier, patience), given_up(curve, earlier, patience + 0.1)
    assert more is None or (less is not None and less <= more)


candidates = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=12).map(
    lambda rows: [Candidate(number, {"accuracy": a, "bytes": b}, missed) for number, (a, b, missed) in enumerate(rows)]
)


@given(candidates)
def test_the_front_is_what_no_other_beats(found: list[Candidate]) -> None:
    best = front(found, BOTH, UP)
    for one in found:
        beaten = any(
            other.values["accuracy"] >= one.values["accuracy"]
            and other.values["bytes"] <= one.values["bytes"]
            and other.values != one.values
            for other in found
        )
        assert (one.number in best) is not beaten


@given(candidates)
def test_the_winner_misses_the_fewest_goals_and_is_best_in_the_first_objective_of_these(found: list[Candidate]) -> None:
    chosen = winner(found, BOTH, UP)
    assert chosen is not None
    eligible = [one for one in found if one.missed == min(each.missed for each in found)]
    assert chosen in eligible
    assert chosen.values["accuracy"] == max(one.values["accuracy"] for one in eligible)
    assert chosen.number in front(eligible, BOTH, UP)


def test_without_a_candidate_there_is_no_winner() -> None:
    assert winner([], BOTH, UP) is None


def _outcome(size: int) -> Outcome:
    accuracy = Accuracy(metric="rmse", value=0.5, low=0.25, high=1e300, examples=10, higher_is_better=False)
    return Outcome(state="complete", judged=Measures(bytes=size, accuracy=accuracy), curve=_curve(1.0, 0.5), seconds=1.5)


def test_a_journal_remembers_after_it_was_opened_again(tmp_path: Path) -> None:
    Journal(tmp_path / "j").keep("a", _outcome(1))
    Journal(tmp_path / "j").keep("b", _outcome(2))
    again = Journal(tmp_path / "j")
    assert (again.get("a"), again.get("b"), again.get("c")) == (_outcome(1), _outcome(2), None)
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


@given(cut=st.integers(0, 2000))
def test_a_kill_at_any_byte_loses_at_most_the_last_trial(tmp_path_factory: object, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"  # type: ignore[attr-defined]
    for number in range(4):
        Journal(path).keep(str(number), _outcome(number))
    raw = path.read_bytes()
    kept = raw[: min(cut, len(raw))]
    path.write_bytes(kept)
    torn = Journal(path)
    assert [torn.get(str(number)) for number in range(kept.count(b"\n"))] == [_outcome(number) for number in range(kept.count(b"\n"))]
    torn.keep("new", _outcome(9))
    assert Journal(path).get("new") == _outcome(9)
