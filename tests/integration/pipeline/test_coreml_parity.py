"""Core ML files against the models that they were made of, by interpreting their programs; and models that do not convert."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller import zoo
from argosy_controller.pipeline.classical.lowering import lowered
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.coreml_packed import CoreMLPackedConfig
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.files.engines import Engine, open_model, why_not
from argosy_controller.pipeline.numbers.parity import parity
from argosy_controller.pipeline.task import Array, Split, load_task, task_model
from argosy_controller.pipeline.training import forward

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")]  # coremltools'
EXAMPLES = 256
Sources = Callable[..., Source]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """A source of a model with the inputs that it takes; exporters here ask no task."""
    task = load_task(zoo.FOLDER / "mlp", {})

    def made(model: nn.Module, outputs: tuple[str, ...] = ("y",), **inputs: Array) -> Source:
        split = Split(inputs, np.zeros(len(next(iter(inputs.values())))))
        return Source(model.eval(), outputs, split, split, task, tmp_path)

    return made


def _opened(file: Path) -> Engine:
    engine = open_model("coreml", file)
    assert engine is not None, why_not("coreml", file)
    return engine


def _answers(source: Source) -> dict[str, Array]:
    with torch.no_grad():
        return {
            name: one.numpy()
            for name, one in zip(source.outputs, forward(source.model, list(source.example(EXAMPLES).values())), strict=True)
        }


def _off(source: Source, file: Path) -> float:
    """The largest difference of any number, asked in one batch."""
    found = parity("torch", _answers(source), _opened(file).run(source.arrays(slice(0, EXAMPLES))), [], classes=True)
    assert found.max_abs_diff is not None
    return found.max_abs_diff


def _rows(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "name",
    [
        "mlp",
        "lenet-300-100",
        "lenet-5",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("resnet-20", "resnext", "mobilenet", "transformer", "capsnet", "gru-seq2seq")
        ),
    ],
)
def test_program_in_single_precision_computes_what_the_network_computes(sources: Sources, name: str) -> None:
    task = load_task(zoo.FOLDER / name, {})
    source = sources(task_model(task, 0), task.outputs, **task.data(0).test.inputs)
    file = source.file(EXPORTERS["coreml-fp32"])
    assert [one.shape[0] for one in _opened(file).inputs] == [None] * len(source.calibration.inputs)
    assert source.notes.get(file, []) == []
    assert _off(source, file) <= 1e-4


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(),
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(10, random_state=0),
        GaussianNB(),
        LogisticRegression(),
        MLPClassifier((16,), max_iter=50, random_state=0),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_program_of_a_classical_model_gives_its_labels_and_probabilities(sources: Sources, estimator: Any) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32)
    fitted = make_pipeline(StandardScaler(), estimator).fit(rows, labels)
    source = sources(lowered(fitted), ("probabilities", "label"), features=rows)
    file = source.file(EXPORTERS["coreml-fp32"])
    engine = _opened(file)
    assert [one.shape for one in engine.outputs] == [[None, 2], [None]]
    got = engine.run({"features": rows})
    assert got["label"].dtype == np.int32
    assert (got["label"] == fitted.predict(rows)).mean() >= 0.999
    assert _off(source, file) <= 1e-4


def test_smaller_precisions_stay_near_and_give_the_same_bytes_again(sources: Sources, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = sources(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64)), x=_rows(64, 64))
    plain = source.file(EXPORTERS["coreml-fp32"]).stat().st_size
    for name, share, bound in (("coreml-fp16", 0.55, 2e-2), ("coreml-int8-weights", 0.35, 2e-2)):
        exporter = EXPORTERS[name]
        file = source.file(exporter)
        exporter.export(source, tmp_path / "again", exporter.config())
        assert file.read_bytes() == (tmp_path / "again").read_bytes()
        assert file.stat().st_size < share * plain
        assert 0 < _off(source, file) < bound


def test_packing_keeps_shared_weights_to_the_bit_and_kmeans_shares_any(sources: Sources) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 32)
    layer.weight.data = layer.weight.data.mul(20).round().div(20)  # five values: a table of 8 is one that coremltools refuses
    source = sources(nn.Sequential(layer, nn.ReLU(), nn.Linear(32, 32)), x=_rows(64, 64))
    exporter = EXPORTERS["coreml-packed"]
    exact = source.file(exporter)
    assert source.notes[exact] == ["weights kept as codebook (1 tensors)"]
    assert _off(source, exact) <= 1e-6
    assert exporter.exact(exporter.config())
    loose = CoreMLPackedConfig(method="kmeans", bits=4)
    file = source.file(exporter, loose)
    assert source.notes[file] == ["weights kept as codebook (2 tensors)"]
    assert not exporter.exact(loose)
    assert file.stat().st_size < exact.stat().st_size < source.file(EXPORTERS["coreml-fp32"]).stat().st_size
    assert 1e-4 < _off(source, file) < 0.5


class Two(nn.Module):
    """Several inputs, one of them integers; several outputs, one of them truth values."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, numbers: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mixed = numbers + self.table(words).sum(1)
        return mixed, mixed.argmax(-1), torch.where(mixed > 0, torch.ones(3), torch.zeros(1)) > 0


def test_several_inputs_keep_names_and_order_and_integers_are_32_bits_wide(sources: Sources) -> None:
    words = np.random.default_rng(0).integers(0, 5, (40, 4))
    source = sources(Two(), ("mixed", "best", "positive"), zebra=_rows(40, 3), apple=words)
    file = source.file(EXPORTERS["coreml-fp32"])
    engine = _opened(file)
    assert [(one.name, one.dtype, one.shape) for one in engine.inputs] == [("zebra", "float32", [None, 3]), ("apple", "int32", [None, 4])]
    assert [(one.name, one.dtype) for one in engine.outputs] == [("mixed", "float32"), ("best", "int32"), ("positive", "int32")]
    got, wanted = engine.run(source.arrays(slice(0, EXAMPLES))), _answers(source)
    assert all(np.allclose(got[name], wanted[name], atol=1e-6) for name in wanted)


class CountsItsBatch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([one * 2 for one in x.unbind(0)])


def test_model_that_counts_its_batch_takes_one_example_at_a_time_and_says_so(sources: Sources) -> None:
    source = sources(CountsItsBatch(), x=_rows(20, 4))
    file = source.file(EXPORTERS["coreml-fp32"])
    engine = _opened(file)
    assert engine.inputs[0].shape == [1, 4]
    assert source.notes[file][0].startswith("takes one example at a time: ")
    assert engine.run({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[2.0] * 4]


class Decides(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Decomposes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svd(x.reshape(-1, 2, 2)).S


class Transforms(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(x)


@torch.library.custom_op("argosy_tests::wobble", mutates_args=())
def wobble(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@wobble.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Custom(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return wobble(x)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Custom(), r"operator 'argosy_tests::wobble' cannot be put into a Core ML file \(test_coreml_parity.py line \d+\)"),
        (Decomposes(), r"operator 'linalg_svd' cannot be put into a Core ML file \(test_coreml_parity.py line \d+\)"),
        (Decides(), r"it decides by the values of its inputs .*take torch.where \(test_coreml_parity.py line \d+\)"),
        (Transforms(), "output 'y' is of complex numbers, which a Core ML file has not"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, nn.Module) else "",
)
def test_model_that_does_not_convert_is_refused_by_operator_and_line(sources: Sources, model: nn.Module, says: str) -> None:
    source = sources(model, x=_rows(20, 4))
    with pytest.raises(Exception) as caught:
        source.file(EXPORTERS["coreml-fp32"])
    message = str(caught.value) if isinstance(caught.value, InvalidInput) else refusal(caught.value)
    assert re.search(says, message), message


def test_layers_that_only_the_interpreter_lacks_convert_and_say_what_was_not_verified(sources: Sources) -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(2, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.layer(x)[0]
            return found

    source = sources(Remembers(), x=_rows(20, 4, 2))
    file = source.file(EXPORTERS["coreml-fp32"])
    assert open_model("coreml", file) is None
    assert why_not("coreml", file) == "the interpreter has no operator 'lstm'"


def test_forest_on_wine_keeps_all_labels_in_half_precision_or_says_how_many(sources: Sources) -> None:
    rows, labels = load_wine(return_X_y=True)
    rows = rows.astype(np.float32)
    fitted = RandomForestClassifier(10, random_state=0).fit(rows, labels)
    source = sources(lowered(fitted), ("probabilities", "label"), features=rows)
    found = parity("torch", _answers(source), _opened(source.file(EXPORTERS["coreml-fp16"])).run({"features": rows}), [], classes=True)
    assert found.agreement is not None
    assert found.agreement >= 0.9
