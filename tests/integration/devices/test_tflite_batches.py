"""TFLite files answer batches of any size as they answer each example alone, in both runtimes; where they would not, they take one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import older_tflite
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import TFLiteEngine
from argosy_controller.pipeline.files.needs_tflite import used, why_newer_only
from argosy_controller.pipeline.task import Array, Data, Split, Task
from argosy_controller.pipeline.training import forward
from argosy_controller.zoo.networks.gru import Translator
from argosy_controller.zoo.networks.transformer import Encoder

pytestmark = pytest.mark.integration
older = pytest.mark.skipif(not older_tflite.available(), reason="no tflite-runtime: 'make setup' installs it")
COUNT = 7  # no batch of this size is tried when the file is made
FORMS = ("tflite-fp32", "tflite-int8", "tflite-int8-dynamic", "tflite-int16x8")


class Rows(Task):
    """Stands in for a task: nothing is trained."""

    name = "rows"
    outputs = ("out",)

    def data(self, seed: int) -> Data:
        raise NotImplementedError


class Against(nn.Module):
    """Compares each example with the mean of all: what it answers depends on who asks at the same time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True)


class Numbered(nn.Module):
    """Adds to each example its place in the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.arange(x.shape[0], dtype=x.dtype)[:, None]


def _source(model: nn.Module, inputs: dict[str, Array], folder: Path) -> Source:
    split = Split(inputs, np.zeros(len(next(iter(inputs.values()))), np.int64))
    return Source(model.eval(), ("out",), split, split, Rows({}), folder)


def _network(name: str, folder: Path) -> Source:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    if name == "convolutions":
        layers: list[nn.Module] = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)]
        return _source(nn.Sequential(*layers), {"x": random.normal(size=(16, 2, 8, 8)).astype(np.float32)}, folder)
    letters = random.integers(1, 9, (16, 6)).astype(np.int64)
    if name == "attention":
        mask = (np.arange(6) < random.integers(2, 7, (16, 1))).astype(np.float32)
        return _source(Encoder(10, 6, 8, 2, 1, 3), {"x": letters, "mask": mask}, folder)
    return _source(Translator(10, 9, 3, 4, 5), {"x": letters}, folder)


def _forest(folder: Path) -> Source:
    columns, targets = load_digits(return_X_y=True)
    split = Split({"features": columns[:300].astype(np.float32)}, targets[:300])
    estimator = RandomForestClassifier(5, max_depth=6, random_state=0)
    task = Rows({})
    task.outputs = usual_outputs(estimator)  # type: ignore[misc]
    model = Fitted(estimator, "features", task.outputs).fitted_on(split, 0)
    return Source(model, task.outputs, split, split, task, folder)


MADE: dict[str, Callable[[Path], Source]] = {
    "convolutions": lambda folder: _network("convolutions", folder),
    "attention": lambda folder: _network("attention", folder),
    "recurrent": lambda folder: _network("recurrent", folder),
    "forest": _forest,
}


@pytest.fixture(scope="module", params=list(MADE))
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    made = MADE[request.param](tmp_path_factory.mktemp(request.param))
    torch.set_num_threads(before)
    return made


def _asked(source: Source, engine: TFLiteEngine, count: int) -> dict[str, Array]:
    kinds = {one.name: one.dtype for one in engine.inputs}
    return {name: array.astype(kinds[name]) for name, array in source.arrays(slice(0, count)).items()}


def _alone(engine: TFLiteEngine, asked: dict[str, Array]) -> dict[str, Array]:
    found = [engine.run({name: one[i : i + 1] for name, one in asked.items()}) for i in range(COUNT)]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _near(got: Array, right: Array) -> bool:
    return got.shape == right.shape and bool(np.allclose(got, right, rtol=1e-4, atol=1e-5))


@pytest.mark.parametrize("plain", [False, True], ids=["xnnpack", "plain"])
def test_a_batch_of_a_size_nobody_converted_gets_the_models_answers(source: Source, plain: bool) -> None:
    engine = TFLiteEngine(source.file(EXPORTERS["tflite-fp32"]), plain)
    got = engine.run(_asked(source, engine, COUNT))
    with torch.no_grad():
        wanted = forward(source.network, list(source.example(COUNT).values()))
    assert all(one.shape[0] is None for one in (*engine.inputs, *engine.outputs))
    assert all(_near(got[name], right.numpy()) for name, right in zip(source.outputs, wanted, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_answers_a_batch_as_each_example_alone(source: Source, form: str) -> None:
    file = source.file(EXPORTERS[form])
    engine = TFLiteEngine(file)
    if engine.inputs[0].shape[0] is None:
        asked = _asked(source, engine, COUNT)
        right, got = _alone(engine, asked), engine.run(asked)
        assert all(_near(got[name], one) for name, one in right.items())
    else:
        assert any("takes one example at a time" in one for one in source.notes[file])


@older
@pytest.mark.parametrize("form", FORMS)
def test_the_older_runtime_answers_a_batch_as_each_example_alone(source: Source, form: str) -> None:
    file = source.file(EXPORTERS[form])
    engine = TFLiteEngine(file)
    if why_newer_only(used(file)) or engine.inputs[0].shape[0] is not None:
        return  # it is not offered the file, or not a batch
    asked = _asked(source, engine, COUNT)
    alone = older_tflite.answers(file, [{name: one[i : i + 1] for name, one in asked.items()} for i in range(COUNT)])
    together = older_tflite.answers(file, [asked])[0]
    assert all(_near(got, np.concatenate(right)) for got, right in zip(together, zip(*alone, strict=True), strict=True))


def test_linear_layers_in_16_bits_take_one_example_so_that_the_older_runtime_may_have_them(tmp_path: Path) -> None:
    made = _network("convolutions", tmp_path)
    file = made.file(EXPORTERS["tflite-int16x8"])
    assert TFLiteEngine(file).inputs[0].shape == [1, 2, 8, 8] and why_newer_only(used(file)) == ""
    assert any("takes one example at a time: of more, tflite-runtime 2.14" in one for one in made.notes[file])


@pytest.mark.parametrize(("model", "told"), [(Against(), "another output 'out'"), (Numbered(), "each example's place in the batch")])
def test_a_model_that_looks_at_the_batch_takes_one_example_and_says_why(model: nn.Module, told: str, tmp_path: Path) -> None:
    made = _source(model, {"x": np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)}, tmp_path)
    file = made.file(EXPORTERS["tflite-fp32"])
    assert TFLiteEngine(file).inputs[0].shape == [1, 3]
    assert [one for one in made.notes[file] if one.startswith("takes one example at a time: ") and told in one]


def test_a_walk_through_trees_is_a_dozen_operators_a_level(tmp_path: Path) -> None:
    made = _forest(tmp_path)
    names = [one.name for one in used(made.file(EXPORTERS["tflite-fp32"]))]
    levels = names.count("LESS_EQUAL")
    assert levels <= 6
    assert "GATHER_ND" not in names
    assert len(names) <= 12 * levels + 4


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append(_forest(folder).file(EXPORTERS["tflite-fp32"]).read_bytes())
    assert files[0] == files[1]


def test_conversions_elsewhere_in_the_process_are_as_ever() -> None:
    from litert_torch.backend.lowerings import registry

    from argosy_controller.pipeline.exporters.tflite_gather import gathering

    before = dict(registry.global_registry.registered_ops)
    with pytest.raises(KeyError), gathering():
        assert registry.lookup(torch.ops.aten.gather.default) is not before[torch.ops.aten.gather.default]
        raise KeyError
    assert registry.global_registry.registered_ops == before


def test_one_example_may_be_all_there_is(tmp_path: Path) -> None:
    made: Any = _source(nn.Linear(3, 2), {"x": np.ones((1, 3), np.float32)}, tmp_path)
    assert TFLiteEngine(made.file(EXPORTERS["tflite-fp32"])).inputs[0].shape == [None, 3]
