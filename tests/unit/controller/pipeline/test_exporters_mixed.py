"""Which layers stay float: the search over made-up figures."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.mixed import Choice, choose, matching

LAYERS = tuple("abcdefghij")


def _falls(costs: dict[str, float], asked: list[tuple[str, ...]] | None = None):  # type: ignore[no-untyped-def]
    def drop(floats: Sequence[str]) -> float:
        if asked is not None:
            asked.append(tuple(floats))
        return sum(cost for name, cost in costs.items() if name not in floats)

    return drop


def _never() -> Sequence[str]:
    raise AssertionError("nothing needs to be ranked")


def test_nothing_stays_float_and_nothing_is_ranked_when_the_drop_is_small() -> None:
    assert choose(_never, lambda floats: 0.004, 0.005, None) == Choice((), 0.004, 0.004, 1)


def test_the_fewest_of_the_most_sensitive_stay_float() -> None:
    costs = dict.fromkeys(LAYERS, 0.0) | {"c": 0.05, "a": 0.03, "f": 0.02}
    found = choose(lambda: ("c", "a", "f", "b", "d", "e", "g", "h", "i", "j"), _falls(costs), 0.02, None)
    assert found.floats == ("c", "a")
    assert found.drop == 0.02


def test_no_more_stay_float_than_allowed_and_the_drop_says_so() -> None:
    found = choose(lambda: LAYERS, _falls(dict.fromkeys(LAYERS, 0.01)), 0.0, 3)
    assert found.floats == ("a", "b", "c")
    assert found.drop > 0.06


@given(st.integers(1, 1000), st.floats(0, 1))
def test_few_evaluations_find_the_smallest_set(count: int, allowed: float) -> None:
    asked: list[tuple[str, ...]] = []
    names = [str(one) for one in range(count)]
    found = choose(lambda: names, _falls(dict.fromkeys(names, 1 / 1024), asked), allowed, None)
    assert found.evaluations == len(asked) <= 2 + count.bit_length()
    assert found.drop <= allowed
    assert len(found.floats) == 0 or found.drop + 1 / 1024 > allowed


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("layer1.0", ["layer1_0"]), ("layer1_0", ["layer1_0"]), ("layer1.*", ["layer1_0", "layer1_1"]), ("head.out", ["head.out"])],
)
def test_layers_of_an_imported_file_are_known_by_the_files_own_names(pattern: str, found: list[str]) -> None:
    assert matching(pattern, ["layer1_0", "layer1_1", "head.out"]) == found


def test_a_pattern_that_names_no_layer_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"keep_float: no layer is called 'layer1\.2': did you mean 'layer1_\d'"):
        matching("layer1.2", ["layer1_0", "layer1_1"])
