"""What a recipe leaves open: how it is read, what values it takes, and how every mistake is answered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy_controller.pipeline.recipes.recipe import Search, parse_recipe
from argosy_controller.pipeline.search.space import Dimension, Space

GOOD = """\
[search]
method = "random"
trials = 5
judge = "small"

[task]
width = { choices = [16, 32, 64] }
learning_rate = { low = 1e-4, high = 1e-2, log = true }

[[passes]]
use = "prune-magnitude"
share = { low = 0.5, high = 0.98 }

[[passes]]
use = "finetune"
epochs = { low = 1, high = 5 }

[[passes]]
use = "finetune"
enabled = { choices = [true, false] }
optimiser = { choices = ["adam", "sgd"] }

[[variants]]
use = "onnx-fp32"

[[variants]]
use = "onnx-int8"
name = "small"
"""


def _search(text: str = GOOD) -> Search:
    search = parse_recipe(text).search
    assert search is not None
    return search


def test_dimensions_are_named_after_pass_task_and_place() -> None:
    names = ["task.width", "task.learning_rate", "prune-magnitude.share", "finetune.epochs", "finetune-2.enabled", "finetune-2.optimiser"]
    assert [one.name for one in _search().space.dimensions] == names


def test_a_point_makes_a_plain_recipe() -> None:
    search = _search()
    point = {**search.space.first(), "task.width": 64, "finetune-2.enabled": True, "finetune-2.optimiser": "sgd", "finetune.epochs": 4}
    recipe = parse_recipe(GOOD, "recipe", point)
    assert recipe.search is None
    assert recipe.hyperparameters == {"width": 64, "learning_rate": 1e-4}
    assert [getattr(one.config, "epochs", None) for one in recipe.steps if one.use == "finetune"] == [4, 3]
    assert recipe.steps[2].config.optimiser == "sgd"  # type: ignore[attr-defined]


def test_a_pass_that_is_not_enabled_is_left_out() -> None:
    point = {**_search().space.first(), "finetune-2.enabled": False}
    assert [one.use for one in parse_recipe(GOOD, "recipe", point).steps] == ["prune-magnitude", "finetune"]


def test_a_pass_may_be_switched_off_without_a_search() -> None:
    recipe = parse_recipe('[[passes]]\nuse = "finetune"\nenabled = false\n[[variants]]\nuse = "onnx-fp32"\n')
    assert recipe.steps == ()


def test_the_named_variant_is_judged_and_else_the_first() -> None:
    assert _search().judge == "small"
    assert _search(GOOD.replace('judge = "small"', "")).judge == "onnx-fp32"


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("high = 0.98", "high = 1.5", 12, "'share' is 1.5"),
        ("high = 0.98", "hihg = 0.98", 12, "unknown key 'hihg': did you mean 'high'?"),
        ("low = 0.5, high = 0.98", "low = 0.98, high = 0.5", 12, "low must be less than high"),
        ("low = 0.5, high = 0.98", "low = 0.0, high = 0.98, log = true", 12, "true needs low above 0"),
        ("low = 0.5, high = 0.98", "low = 0.5", 12, "needs choices = [...], or low = ... and high = ..."),
        ("low = 0.5, high = 0.98", 'low = "a", high = "b"', 12, "that are numbers"),
        ("low = 0.5, high = 0.98", "low = 0.5, high = 0.98, steps = 1", 12, "steps must be a whole number from 2"),
        ("low = 0.5, high = 0.98", "choices = [0.5, 0.5]", 12, "name a value twice"),
        ("low = 0.5, high = 0.98", "choices = []", 12, "must be a list of values"),
        ("low = 0.5, high = 0.98", "choices = [0.5], low = 0.1", 12, "give choices alone"),
        ("low = 0.5, high = 0.98", 'choices = [0.5, "x"]', 12, "expected `float`, got `str`"),
        ("share =", "sharr =", 12, "unknown key 'sharr': did you mean 'share'?"),
        ("low = 1, high = 5", "low = 0.5, high = 5", 16, "expected `int`, got `float`"),
        ('"adam", "sgd"', '"adam", "sgdd"', 21, "invalid enum value 'sgdd'"),
        ("[true, false]", '["yes", "no"]', 20, "expected `bool`, got `str`"),
        ("low = 1e-4", "low = -1.0", 8, "must be true or false, and true needs low above 0"),
        ("high = 1e-2, log = true", "high = 100", 8, "'learning_rate' is 100"),
        ('method = "random"', 'method = "randm"', 2, "invalid enum value 'randm'"),
        ('method = "random"', 'method = "grid"', 8, "method grid needs steps = ... or choices"),
        ('method = "random"', 'method = "gradient"', 7, "'task.width' has no gradient"),
        ("trials = 5", 'objectives = ["bytes", "bytes"]', 3, "'objectives' name one twice"),
        ("trials = 5", 'objectives = ["byte"]', 3, "invalid enum value 'byte'"),
        ("trials = 5", "trails = 5", 3, "did you mean 'trials'?"),
        ('judge = "small"', 'judge = "smal"', 4, "there is no variant 'smal' to judge: did you mean 'small'?"),
    ],
)
def test_names_line_key_and_what_is_right(before: str, after: str, line: int, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_recipe(GOOD.replace(before, after, 1), "my.toml")
    assert str(caught.value).startswith(f"my.toml line {line}: ")
    assert says in str(caught.value)


def test_a_table_without_search_says_so() -> None:
    text = GOOD.replace('[search]\nmethod = "random"\ntrials = 5\njudge = "small"\n', "")
    with pytest.raises(InvalidInput, match=r"line 3: 'width' is a table: give it one value, or add \[search\]"):
        parse_recipe(text)


def test_a_search_for_nothing_says_so() -> None:
    with pytest.raises(InvalidInput, match=r"line 1: \[search\] has nothing to search"):
        parse_recipe('[search]\n[[variants]]\nuse = "onnx-fp32"\n')


def test_a_grid_larger_than_its_trials_says_so() -> None:
    text = '[search]\nmethod = "grid"\ntrials = 3\n[task]\nwidth = { choices = [1, 2] }\ndepth = { choices = [1, 2] }\n'
    with pytest.raises(InvalidInput, match="line 1: the grid has 4 points, and at most 3 are tried"):
        parse_recipe(text + '[[variants]]\nuse = "onnx-fp32"\n')


def test_steps_are_even_with_both_ends_and_whole_where_numbers_are() -> None:
    text = '[search]\n[[passes]]\nuse = "finetune"\nepochs = { low = 1, high = 4, steps = 9 }\n'
    text += 'learning_rate = { low = 1e-4, high = 1e-2, log = true, steps = 3 }\n[[variants]]\nuse = "onnx-fp32"\n'
    epochs, rate = _search(text).space.dimensions
    assert epochs.choices == (1, 2, 3, 4)
    assert rate.choices == (1e-4, pytest.approx(1e-3), 1e-2)


ranges = st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.booleans()).filter(lambda one: one[0] < one[1])


@given(ranges, st.floats(0, 1))
def test_a_value_of_a_range_is_in_the_range(one: tuple[float, float, bool], share: float) -> None:
    low, high, log = one
    value = Dimension("x", ("task", "x"), low=low, high=high, log=log).at(share)
    assert low <= value <= high  # type: ignore[operator]


@given(st.integers(1, 50), st.integers(0, 50), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_whole_number_of_a_range_is_whole_and_in_the_range(low: int, more: int, log: bool, share: float) -> None:
    value = Dimension("x", ("task", "x"), low=low, high=low + more + 1, log=log, integer=True).at(share)
    assert type(value) is int
    assert low <= value <= low + more + 1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_every_point_gives_a_valid_recipe(shares: list[float]) -> None:
    text = '[search]\n[[passes]]\nuse = "prune-magnitude"\nshare = { low = 0.1, high = 0.9 }\n'
    text += '[[passes]]\nuse = "finetune"\nepochs = { low = 0, high = 9 }\n[[variants]]\nuse = "onnx-fp32"\n'
    assert len(parse_recipe(text, "recipe", _search(text).space.at(shares)).steps) == 2


def test_the_slope_is_that_of_at() -> None:
    for log in (True, False):
        one = Dimension("x", ("task", "x"), low=0.1, high=10.0, log=log)
        here = float(one.at(0.5))
        assert one.slope(here) == pytest.approx((float(one.at(0.501)) - float(one.at(0.499))) / 0.002, rel=1e-2)


def test_a_grid_has_every_combination_once() -> None:
    space = Space((Dimension("a", ("task", "a"), choices=(1, 2)), Dimension("b", ("task", "b"), choices=("x", "y", "z"))))
    points = list(space.grid())
    assert len(points) == space.grid_size == 6
    assert len({tuple(one.values()) for one in points}) == 6
    assert math.prod(len(one.choices) for one in space.dimensions) == 6
