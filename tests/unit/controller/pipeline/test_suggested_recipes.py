"""Suggested recipes: they parse, whatever the task is like, and ask for nothing that the test set cannot decide."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.numbers.intervals import drop_is_below, most_mistakes
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.processes.messages import Aim, SuggestRequest
from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.pipeline.recipes.looking import suggest, task_facts
from argosy_controller.pipeline.recipes.recipe import Recipe, parse_recipe
from argosy_controller.pipeline.recipes.suggesting import TaskFacts, drop_beyond, smallest_drop, suggestion
from argosy_controller.pipeline.recipes.suggesting_classical import Estimator
from argosy_controller.pipeline.task import Data, Split, Task, checked_data, task_model

EXAMPLES = Path(__file__).parents[4] / "examples"
AIMS: tuple[Aim, ...] = get_args(Aim)


def _facts(**changed: Any) -> TaskFacts:
    usual = TaskFacts(
        name="digits",
        metric="accuracy",
        share=True,
        bounded=True,
        train=1000,
        test=719,
        parameters=90_000,
        convolutions=3,
        dense=2,
        recurrent=0,
        slow_activations=0,
        floats=True,
        epochs=30,
        batch_size=64,
        learning_rate=2e-3,
    )
    return msgspec.structs.replace(usual, **changed)


def _suggested(facts: TaskFacts, aim: Aim) -> Recipe:
    return parse_recipe(suggestion(facts, aim, smallest_drop(facts.test, drop_is_below) if facts.share else None))


def _uses(recipe: Recipe) -> tuple[list[str], list[str]]:
    return [one.use for one in recipe.steps], [one.use for one in recipe.variants]


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("estimator", get_args(Estimator)[1:])
def test_estimators_get_passes_that_take_them(estimator: Any, validation: bool, aim: Aim) -> None:
    steps, variants = _uses(_suggested(_facts(estimator=estimator, validation=validation), aim))
    assert all("estimator" in PASSES[one].takes for one in steps)
    assert {"onnx-fp32", "tflite-fp32"} <= set(variants)
    chosen = {"tree": ["prune-tree"], "forest": ["thin-forest", "prune-tree"], "machine": ["reduce-vectors"]}.get(estimator, [])
    assert [one for one in steps if one != "round-thresholds"] == (chosen if validation and aim != "accuracy" else [])


def test_task_with_an_estimator_is_looked_at_unfitted(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(
        "from sklearn.datasets import load_iris\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from argosy_controller.pipeline.task import Data, Split, Task\n"
        "class Iris(Task):\n"
        "    name, outputs = 'iris', ('probabilities', 'label')\n"
        "    def data(self, seed):\n"
        "        x, y = load_iris(return_X_y=True)\n"
        "        rows = Split({'features': x.astype('float32')}, y)\n"
        "        return Data(train=rows, test=rows)\n"
        "    def model(self, seed):\n"
        "        return RandomForestClassifier()\n"
    )
    (tmp_path / "out").mkdir()
    suggest(SuggestRequest(task=str(tmp_path), settings={}, aim="size", seed=0, out=str(tmp_path / "out")), lambda *told: None)
    text = (tmp_path / "out" / RECIPE_FILE).read_text()
    assert "an estimator of scikit-learn" in text
    assert "# thin-forest chooses by validation data, and this task holds none back" in text
    assert _uses(parse_recipe(text)) == (["round-thresholds"], ["onnx-fp32", "tflite-fp32"])


def test_convolutions_lose_channels_and_are_fine_tuned() -> None:
    steps, variants = _uses(_suggested(_facts(), "size"))
    assert steps == ["prune-channels", "finetune"]
    assert variants == ["onnx-fp32", "onnx-int8", "tflite-int8"]


def test_dense_layers_lose_weights_and_are_packed() -> None:
    steps, variants = _uses(_suggested(_facts(convolutions=0), "size"))
    assert steps == ["prune-magnitude"]
    assert "onnx-packed" in variants


def test_speed_asks_for_fewer_multiplications_not_for_zeros() -> None:
    for facts in (_facts(), _facts(convolutions=0)):
        recipe = _suggested(facts, "speed")
        assert _uses(recipe)[0] == ["prune-channels", "finetune"]
        assert recipe.steps[0].config.macs_share == 0.5  # type: ignore[attr-defined]


def test_accuracy_cuts_nothing_and_quantises_with_care() -> None:
    recipe = _suggested(_facts(), "accuracy")
    assert recipe.steps == ()
    assert next(one for one in recipe.variants if one.use == "onnx-int8").config.mixed_drop_at_most == 0.01  # type: ignore[attr-defined]


@pytest.mark.parametrize("changed", [{"recurrent": 1}, {"floats": False}, {"floats": False, "parameters": 0}])
def test_what_has_no_fixed_ranges_is_quantised_while_it_runs(changed: dict[str, Any]) -> None:
    assert _uses(_suggested(_facts(**changed), "size"))[1] == ["onnx-fp32", "onnx-int8-dynamic"]


@pytest.mark.parametrize(
    ("examples", "drop"), [(0, None), (10, None), (114, 0.05), (285, 0.05), (719, 0.02), (10_000, 0.01), (1_000_000, 0.01)]
)
def test_goal_is_the_smallest_drop_that_the_test_set_can_decide(examples: int, drop: float | None) -> None:
    assert smallest_drop(examples, drop_is_below) == drop


@pytest.mark.parametrize(("trials", "drop"), [(0, None), (10, None), (106, 0.05), (5000, 0.002)])
def test_goal_of_other_metrics_lies_beyond_what_a_faultless_set_leaves_possible(trials: int, drop: float | None) -> None:
    assert drop_beyond(most_mistakes(trials)) == drop


def test_too_small_a_test_set_is_told_and_sets_no_goal() -> None:
    facts = _facts(test=10)
    assert "10 test examples are too few" in suggestion(facts, "size", smallest_drop(10, drop_is_below))
    assert _suggested(facts, "size").variants[0].goals.accuracy_drop_at_most is None


def test_few_examples_get_more_epochs_so_that_a_cut_is_won_back() -> None:
    assert [_suggested(_facts(train=train), "size").steps[1].config.epochs for train in (90, 1000, 60_000)] == [30, 13, 7]  # type: ignore[attr-defined]


def test_model_of_some_hundred_weights_is_left_whole() -> None:
    recipe = _suggested(_facts(convolutions=0, parameters=547), "size")
    assert recipe.steps == () and recipe.summary == "8-bit weights, as trained"


def test_bytes_are_a_goal_only_where_the_weights_decide_about_them() -> None:
    assert _suggested(_facts(), "size").variants[1].goals.bytes_at_most == 160_000
    assert _suggested(_facts(parameters=5000), "size").variants[1].goals.bytes_at_most is None


@given(
    st.builds(
        TaskFacts,
        name=st.just("odd"),
        metric=st.text(max_size=60),
        share=st.booleans(),
        bounded=st.booleans(),
        train=st.integers(0, 10**9),
        test=st.integers(0, 10**9),
        parameters=st.integers(0, 10**11),
        convolutions=st.integers(0, 1000),
        dense=st.integers(0, 1000),
        recurrent=st.integers(0, 3),
        slow_activations=st.integers(0, 9),
        floats=st.booleans(),
        epochs=st.integers(0, 10_000),
        batch_size=st.integers(0, 65_536),
        learning_rate=st.floats(1e-12, 10),
    ),
    st.sampled_from(AIMS),
    st.sampled_from([None, 0.002, 0.05]),
)
def test_recipe_of_any_task_parses(facts: TaskFacts, aim: Aim, drop: float | None) -> None:
    recipe = parse_recipe(suggestion(facts, aim, drop))
    assert recipe.variants and recipe.summary


def _looked_at(tmp_path: Path, folder: Path, aim: Aim, settings: dict[str, str] | None = None) -> Recipe:
    suggest(SuggestRequest(task=str(folder), settings=settings or {}, aim=aim, seed=0, out=str(tmp_path)), lambda stage, done, total: None)
    return parse_recipe((tmp_path / RECIPE_FILE).read_text())


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("example", ["digits", "tabular"])
def test_recipes_for_the_examples_parse(tmp_path: Path, example: str, aim: Aim) -> None:
    assert _looked_at(tmp_path, EXAMPLES / example, aim).variants


@pytest.mark.parametrize(
    ("example", "setting", "file"), [("spoken-digits", "audio", "spoken-digits-4-speakers.npz"), ("images", "images", "")]
)
def test_recipes_for_the_examples_with_data_of_their_own_parse(tmp_path: Path, example: str, setting: str, file: str) -> None:
    data = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[5] / "shared" / "data")
    if not (data / (file or "cifar10-test-2k.npz")).is_file():
        pytest.skip(f"no {file or 'CIFAR-10'} in {data}: name the folder with ARGOSY_SHARED_DATA")
    recipe = _looked_at(tmp_path, EXAMPLES / example, "size", {setting: str(data / file)})
    assert _uses(recipe)[0] == ["prune-channels", "finetune"]


def test_task_without_a_model_gets_a_recipe_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(
        "import numpy as np\nfrom argosy_controller.pipeline.task import Data, Split, Task\n"
        "class Bare(Task):\n    name = 'bare'\n    def data(self, seed):\n"
        "        part = Split({'x': np.zeros((50, 3), np.float32)}, np.zeros(50, np.int64))\n        return Data(train=part, test=part)\n"
    )
    recipe = _looked_at(tmp_path, tmp_path, "size")
    assert recipe.steps == () and "onnx-int8" in _uses(recipe)[1]


class _Odd(Task):
    name = "odd"
    epochs = 0

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__({})
        self._make = make

    def data(self, seed: int) -> Data:
        part = Split({"x": np.zeros((40, 6), np.float32)}, np.zeros(40, np.int64))
        return Data(train=part, test=part)

    def model(self, seed: int) -> nn.Module:
        return self._make()


class _Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.gru(x[:, None])[0][:, -1]


def test_facts_count_layers_of_what_the_model_is_made_of() -> None:
    task = _Odd(lambda: nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 2)))
    facts = task_facts(task, checked_data(task, 0), task_model(task, 0))
    assert (facts.dense, facts.convolutions, facts.slow_activations, facts.parameters, facts.family) == (2, 0, 1, 38, "dense")
    remembering = _Odd(_Remembering)
    assert task_facts(remembering, checked_data(remembering, 0), task_model(remembering, 0)).family == "other"


def test_model_that_does_not_take_the_data_is_told_before_a_recipe_is_made() -> None:
    task = _Odd(lambda: nn.Linear(7, 2))
    with pytest.raises(InvalidInput, match="the model of task 'odd' does not take its data"):
        task_facts(task, checked_data(task, 0), task_model(task, 0))
