"""How points are proposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.numbers.figures import Measures
from argosy_controller.pipeline.search.methods import Bayes, Descent, Grid, Method, Random
from argosy_controller.pipeline.search.outcome import Look, Outcome
from argosy_controller.pipeline.search.space import Dimension, Point, Space

REAL = Space((Dimension("x", ("task", "x"), low=0.0, high=1.0), Dimension("y", ("task", "y"), low=1e-4, high=1.0, log=True)))
SINGLE = Space((Dimension("a", ("task", "a"), choices=(1, 2, 3)), Dimension("b", ("task", "b"), choices=(True, False))))
UP = {"accuracy": True, "bytes": False}


def _outcome(accuracy: float, size: int = 1) -> Outcome:
    return Outcome(state="complete", judged=Measures(bytes=size, accuracy=Accuracy(metric="m", value=accuracy, low=0, high=1, examples=9)))


def _points(method: Method, count: int, score: Callable[[Point], Outcome] | None = None) -> list[Point]:
    points: list[Point] = []
    for _ in range(count):
        point = method.ask()
        if point is None:
            break
        points.append(point)
        if score is not None:
            method.tell(point, score(point), 0)
    return points


def _distinct(points: list[Point]) -> bool:
    return len({tuple(one.items()) for one in points}) == len(points)


def _near_a_third(point: Point) -> Outcome:
    return _outcome(1 - (float(point["x"]) - 0.3) ** 2)


def test_grid_gives_every_point_and_then_none() -> None:
    assert len(_points(Grid(SINGLE), 99)) == 6


def test_random_is_the_same_for_the_same_seed_and_never_repeats() -> None:
    one, two = (_points(Random(REAL, 7), 40) for _ in range(2))
    assert one == two
    assert _distinct(one)
    assert one != _points(Random(REAL, 8), 40)


def test_random_goes_on_where_fewer_trials_ended() -> None:
    assert _points(Random(REAL, 7), 40)[:15] == _points(Random(REAL, 7), 15)


def test_random_ends_when_everything_was_tried() -> None:
    assert len(_points(Random(SINGLE, 0), 99)) == 6


def test_random_covers_a_logarithmic_range_evenly() -> None:
    small = sum(float(one["y"]) < 1e-2 for one in _points(Random(REAL, 1), 400))
    assert 160 < small < 240


def test_bayes_proposes_the_same_after_the_same_and_never_repeats() -> None:
    one, two = (_points(Bayes(REAL, 3, ("accuracy",), UP, 1), 25, _near_a_third) for _ in range(2))
    assert one == two
    assert _distinct(one)


def test_bayes_finds_more_than_it_knew() -> None:
    points = _points(Bayes(REAL, 0, ("accuracy",), UP, 1), 50, _near_a_third)
    early, late = ([abs(float(one["x"]) - 0.3) for one in part] for part in (points[:10], points[30:]))
    assert sum(late) / len(late) < 0.5 * sum(early) / len(early)


def test_bayes_takes_several_objectives_and_trials_that_failed_or_were_given_up() -> None:
    outcomes: list[Any] = [_outcome(0.5, 3), Outcome(state="failed"), Outcome(state="hopeless", curve=(Look(0, 2, 0.5),))]
    for objectives in (("accuracy",), ("accuracy", "bytes")):
        method = Bayes(SINGLE, 0, objectives, UP, 1)
        found = [method.ask() for _ in range(3)]
        for point, outcome in zip(found, outcomes, strict=True):
            assert point is not None
            method.tell(point, outcome, 1)
        assert method.ask() is not None


def test_bayes_ends_when_everything_was_tried() -> None:
    assert len(_points(Bayes(SINGLE, 0, ("accuracy",), UP, 1), 99, lambda point: _outcome(0.5))) == 6


def _sloping(by_x: float, by_y: float) -> Outcome:
    return Outcome(state="complete", gradient={"x": by_x, "y": by_y})


def test_descent_starts_in_the_middle_and_goes_against_the_gradient() -> None:
    method = Descent(REAL, 0.1)
    first = method.ask()
    assert first == {"x": 0.5, "y": pytest.approx(1e-2)}
    method.tell(first, _sloping(3.0, -0.001), 0)
    second = method.ask()
    assert second is not None
    assert second["x"] == pytest.approx(0.4)
    assert float(second["y"]) > 1e-2


def test_descent_comes_to_a_minimum() -> None:
    points = _points(Descent(REAL, 0.2), 25, lambda point: _sloping(float(point["x"]) - 0.31, float(point["y"]) - 0.05))
    assert float(points[-1]["x"]) == pytest.approx(0.31, abs=0.01)
    assert float(points[-1]["y"]) == pytest.approx(0.05, rel=0.1)


def test_descent_ends_at_an_edge_that_it_cannot_leave() -> None:
    assert len(_points(Descent(REAL, 0.5), 50, lambda point: _sloping(1.0, 1.0))) < 10
