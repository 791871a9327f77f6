"""Quantisation passes on handwritten digits: what rounding costs, what the passes win back, and what files then hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.methods.fake_quantise import with_weights_on_grid
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Array, Data, Split, Task
from argosy_controller.pipeline.training import fit

pytestmark = pytest.mark.integration

DATA = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")


class DigitsNet(nn.Sequential):
    """A depthwise-separable network, whose few weights a channel suffer most from rounding."""

    def __init__(self) -> None:
        deep = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        layers = [nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), deep, nn.BatchNorm2d(16), nn.ReLU()]
        layers += [nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()]
        super().__init__(*layers, nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10))


class Digits(Task):
    """Scikit-learn's 1,797 images, in [-1, 1]."""

    name = "digits"
    outputs = ("scores",)
    epochs, learning_rate = 20, 2e-3

    def data(self, seed: int) -> Data:
        digits = load_digits()
        order = np.random.default_rng(seed).permutation(len(digits.target))
        images = (digits.images / 8 - 1).astype(np.float32)[order, None]
        examples = Split({"image": images}, digits.target[order].astype(np.int64))
        return Data(train=examples.take(slice(0, 1000)), test=examples.take(slice(1000, None)))

    def model(self, seed: int) -> nn.Module:
        return DigitsNet()


class BinaryDigits(Digits):
    """The network of BinaryConnect, smaller: batch norm after every layer, squared hinge loss."""

    epochs = 0

    def model(self, seed: int) -> nn.Module:
        hidden = [nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 10), nn.BatchNorm1d(10))

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        signs = 2 * functional.one_hot(targets, 10) - 1
        return (1 - outputs[0] * signs).clamp(min=0).square().mean()


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As in builds: networks this small gain nothing from a second thread, and lose much where others want it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _context(task: Task) -> Context:
    return Context(task, task.data(0), seed=1, on_step=lambda done, total: None)


@pytest.fixture(scope="module")
def context() -> Context:
    return _context(Digits({}))


@pytest.fixture(scope="module")
def trained(context: Context) -> nn.Module:
    torch.manual_seed(0)
    task = context.task
    return fit(task.model(0), task, context.data.train, task.training, seed=0, on_epoch=lambda done, total: None)


def _apply(name: str, model: nn.Module, context: Context, **options: Any) -> nn.Module:
    return PASSES[name].apply(model, msgspec.convert(options, PASSES[name].config), context)


def _scores(model: nn.Module, context: Context) -> Array:
    with torch.no_grad():
        result: Array = model(torch.from_numpy(context.data.test.inputs["image"])).numpy()
    return result


def _error(scores: Array, context: Context) -> float:
    return float((scores.argmax(1) != context.data.test.targets).mean())


def _file(model: nn.Module, context: Context, folder: Path, use: str, **options: Any) -> Path:
    source = Source(model, context.task.outputs, context.data.calibrating, context.data.judging, context.task, folder)
    return source.file(EXPORTERS[use], msgspec.convert(options, EXPORTERS[use].config))


def _file_scores(model: nn.Module, context: Context, folder: Path, use: str, **options: Any) -> Array:
    folder.mkdir(exist_ok=True)
    engine = open_model(EXPORTERS[use].format, _file(model, context, folder, use, **options))
    assert engine is not None
    return predict(engine, context.data.test)["scores"]


def test_training_on_the_grid_wins_back_what_three_bits_lose(trained: nn.Module, context: Context) -> None:
    whole, rounded = (_error(_scores(model, context), context) for model in (trained, with_weights_on_grid(trained, 3)))
    result = _apply("quantise-aware", trained, context, bits=3, epochs=8)
    assert rounded > whole + 0.03
    assert _error(_scores(result, context), context) < whole + 0.01


def test_an_int8_file_holds_exactly_the_weights_that_training_left_on_its_grid(
    trained: nn.Module, context: Context, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    result = _apply("fold-batch-norm", _apply("quantise-aware", trained, context, bits=7, epochs=1), context)
    file = _file(result, context, tmp_path, "onnx-int8")
    tensors = {one.name: numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}
    last: Any = result.get_submodule("13")
    name = next(name for name, array in tensors.items() if array.dtype == np.int8 and array.shape in ((10, 32), (32, 10)))
    scale = tensors[name.replace("_quantized", "_scale")]
    stored = tensors[name] if tensors[name].shape == (10, 32) else tensors[name].T
    assert np.allclose(stored * scale[:, None], last.weight.detach().numpy(), rtol=1e-5, atol=0)


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")
@pytest.mark.parametrize(("bits", "use"), [(7, "onnx-int8"), (8, "tflite-int8")])
def test_a_quantised_file_answers_like_the_model_trained_for_it(
    bits: int, use: str, trained: nn.Module, context: Context, tmp_path: Path
) -> None:
    result = _apply("quantise-aware", trained, context, bits=bits, epochs=2)
    wanted, got = _scores(result, context), _file_scores(result, context, tmp_path / use, use)
    assert (wanted.argmax(1) == got.argmax(1)).mean() > 0.985
    assert _error(got, context) <= _error(_scores(trained, context), context) + 0.01


def _unbalanced(model: nn.Module, context: Context) -> nn.Module:
    """The same function with ranges of channels far apart, as depthwise networks have after training (section 3 of the paper)."""
    folded = _apply("fold-batch-norm", model, context)
    first, second = (folded.get_submodule(name) for name in ("0", "3"))
    factor = torch.exp(torch.linspace(-2.5, 2.5, 16))
    with torch.no_grad():
        first.get_parameter("weight").mul_(factor.view(-1, 1, 1, 1))
        first.get_parameter("bias").mul_(factor)
        second.get_parameter("weight").div_(factor.view(-1, 1, 1, 1))
    return folded


def test_equalising_rescues_one_grid_a_tensor(trained: nn.Module, context: Context, tmp_path: Path) -> None:
    model = _unbalanced(trained, context)
    equalised = _apply("equalise-layers", model, context)
    whole = _scores(model, context)
    assert np.allclose(_scores(equalised, context), whole, atol=1e-3)
    before, after = (
        _error(_file_scores(one, context, tmp_path / name, "onnx-int8", per_channel=False), context)
        for name, one in (("before", model), ("after", equalised))
    )
    assert before > _error(whole, context) + 0.03
    assert after < _error(whole, context) + 0.01


def test_correcting_biases_brings_rounded_answers_nearer(trained: nn.Module, context: Context) -> None:
    corrected = _apply("correct-bias", trained, context, bits=3)
    wanted = _scores(trained, context)
    before, after = (_scores(with_weights_on_grid(one, 3), context) for one in (trained, corrected))
    shift = [float(np.abs((got - wanted).mean(0)).mean()) for got in (before, after)]
    assert shift[1] < 0.3 * shift[0]
    assert _error(after, context) < _error(before, context)


@pytest.mark.parametrize(
    ("options", "at_most"),
    [
        ({}, 0.04),
        ({"method": "binary-connect-stochastic"}, 0.06),
        ({"method": "binary-connect-stochastic", "result": "real"}, 0.06),
        ({"method": "xnor-net"}, 0.04),
        ({"method": "xnor-net", "activations": True}, 0.05),
    ],
)
def test_binary_networks_learn_digits(options: dict[str, Any], at_most: float) -> None:
    binary = _context(BinaryDigits({}))
    torch.manual_seed(0)
    result = _apply("binarise", binary.task.model(0), binary, epochs=15, learning_rate=0.01, **options)
    assert _error(_scores(result, binary), binary) <= at_most


def test_signs_convert_to_every_format_and_answer_alike(tmp_path: Path) -> None:
    binary = _context(BinaryDigits({}))
    torch.manual_seed(0)
    result = _apply("binarise", binary.task.model(0), binary, epochs=3, method="xnor-net", activations=True)
    wanted = _scores(result, binary)
    for use in ("onnx-fp32", "tflite-fp32"):
        got = _file_scores(result, binary, tmp_path / use, use)
        assert (wanted.argmax(1) == got.argmax(1)).mean() > 0.995


class BinaryMnist(BinaryDigits):
    """All of MNIST."""

    batch_size = 200

    def data(self, seed: int) -> Data:
        return Data(train=self._part("train"), test=self._part("test"))

    def _part(self, name: str) -> Split:
        with np.load(DATA / f"mnist-{name}.npz", allow_pickle=False) as file:
            return Split({"image": (file["images"] / 127.5 - 1).astype(np.float32)[:, None]}, file["labels"].astype(np.int64))

    def model(self, seed: int) -> nn.Module:
        hidden = [nn.Linear(784, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(512, 10), nn.BatchNorm1d(10))


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "mnist-train.npz").is_file(), reason="MNIST is not here: set ARGOSY_SHARED_DATA to its folder")
def test_binary_connect_learns_mnist_in_three_epochs() -> None:
    """The published network, 40 epochs long, is in the compression benchmark; this one is half as wide."""
    binary = _context(BinaryMnist({}))
    torch.manual_seed(0)
    result = _apply("binarise", binary.task.model(0), binary, epochs=3)
    assert _error(_scores(result, binary), binary) <= 0.035
