"""Quantised files of a published ResNet-20 (CIFAR-10 test images) and of a small network: accuracy, size, what stays float, same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.onnx_packed import SIZE_ONLY
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.files.formats import onnx_precision, tflite_precision
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.task import Array, Data, Split, Task, load_task

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("ARGOSY_SHARED_DATA") or ROOT.parent / "shared" / "data")
CHECKPOINT = DATA / "models" / "resnet20-cifar10-12fca82f.th"
QUANTISED = [name for name, one in EXPORTERS.items() if one.precision != "fp32" and one.format != "coreml"]
#: Of 8-bit forms at most; 4-bit weights of a network so small cost more.
LARGEST_DROP = 0.005


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images() -> tuple[Task, Data]:
    if not CHECKPOINT.is_file():
        pytest.skip("no CIFAR-10 images and ResNet-20 checkpoint in the shared data folder")
    task = load_task(ROOT / "examples" / "images", {"images": str(DATA), "checkpoint": str(CHECKPOINT)})
    task.examples = 1024  # type: ignore[attr-defined]
    return task, task.data(0)


@pytest.fixture(scope="module")
def resnet(images: tuple[Task, Data], tmp_path_factory: pytest.TempPathFactory) -> Source:
    task, data = images
    return Source(task.model(0).eval(), task.outputs, data.calibrating, data.train, task, tmp_path_factory.mktemp("resnet"))


def _made(source: Source, name: str, **options: Any) -> Path:
    exporter = EXPORTERS[name]
    return source.file(exporter, msgspec.convert(options, exporter.config))


def _answers(source: Source, path: Path, split: Split) -> Array:
    engine = open_model("tflite" if "tflite" in path.name else "onnx", path)
    assert engine is not None
    return predict(engine, split)[source.outputs[0]]


def _accuracy(source: Source, path: Path, test: Split) -> float:
    return float((_answers(source, path, test).argmax(-1) == test.targets).mean())


_SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in ("percentile", "entropy", "mse")]


@pytest.mark.parametrize("method", ["minmax", *_SLOW])
def test_int8_of_resnet20_loses_at_most_half_a_point(method: str, resnet: Source, images: tuple[Task, Data]) -> None:
    test = images[1].test
    plain, small = _made(resnet, "onnx-fp32"), _made(resnet, "onnx-int8", calibration=method)
    assert _accuracy(resnet, plain, test) == 0.8135
    assert _accuracy(resnet, small, test) >= 0.8135 - LARGEST_DROP
    assert small.stat().st_size < plain.stat().st_size * 0.3


@pytest.mark.parametrize("name", ["onnx-int16x8", "onnx-int8-dynamic"])
def test_other_8_bit_weights_of_resnet20_lose_at_most_half_a_point(name: str, resnet: Source, images: tuple[Task, Data]) -> None:
    small = _made(resnet, name)
    assert _accuracy(resnet, small, images[1].test) >= 0.8135 - LARGEST_DROP
    assert small.stat().st_size < 330_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite-int8", "tflite-int16x8", "tflite-int8-dynamic"])
def test_tflite_of_resnet20_loses_at_most_half_a_point(name: str, resnet: Source, images: tuple[Task, Data]) -> None:
    small = _made(resnet, name)
    some = images[1].test.take(slice(0, None, 8))  # kernels for 16 bits take 30 times as long
    assert _accuracy(resnet, small, some) >= _accuracy(resnet, _made(resnet, "tflite-fp32"), some) - LARGEST_DROP
    assert small.stat().st_size < 320_000


def test_int4_weights_take_a_sixth_and_a_few_float_layers_win_accuracy_back(resnet: Source, images: tuple[Task, Data]) -> None:
    test = images[1].test
    small = _made(resnet, "onnx-int4")
    mixed = _made(resnet, "onnx-int4", keep_float_at_most=3)
    assert small.stat().st_size < 195_000
    assert _accuracy(resnet, small, test) > 0.80
    assert _accuracy(resnet, mixed, test) >= _accuracy(resnet, small, test) - 0.002


def test_layers_named_by_a_pattern_stay_float_and_the_report_says_so(resnet: Source) -> None:
    path = _made(resnet, "onnx-int8", keep_float=["conv1", "layer3.*"])
    weights = {one.name: one for one in onnx.load(path).graph.initializer}
    assert weights["layer3.0.conv1.weight"].data_type == weights["conv1.weight"].data_type == 1
    assert "layer2.0.conv1.weight" not in weights
    named = ", ".join(["conv1", *(f"layer3.{block}.conv{one}" for block in range(3) for one in (1, 2))])
    assert resnet.notes[path] == [f"stay float as asked: {named}"]


def test_a_pattern_that_fits_no_layer_names_the_nearest(resnet: Source) -> None:
    with pytest.raises(InvalidInput, match=r"keep_float: no layer is called 'layer3.0.conv3': did you mean 'layer3.0.conv"):
        _made(resnet, "onnx-int8", keep_float=["layer3.0.conv3"])


def test_sensitive_layers_are_found_with_few_evaluations_and_never_on_test_data(resnet: Source, images: tuple[Task, Data]) -> None:
    fewer = replace(resnet, judging=images[1].train.take(slice(0, 256)), notes={}, _made=dict(resnet._made))
    path = _made(fewer, "onnx-int4", block=0, scales="mse", mixed_drop_at_most=0.01)
    [note] = [one for one in fewer.notes[path] if "evaluations" in one]
    assert " of 20 layers stay float: " in note
    assert int(note.partition(" evaluations")[0].rpartition("(")[2]) <= 8
    assert "on 256 examples that are not the test data" in note


class Small(nn.Module):
    """Convolution, batch norm, a residual sum, 3-D linear layers and an activation: what converters treat differently."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.norm(self.conv(image))).flatten(2).transpose(1, 2)
        x = (x + torch.sigmoid(self.mix(x))).mean(1)
        return self.head(x), x


class Shapes(Task):
    name = "shapes"
    outputs = ("logits", "features")

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        examples = Split({"image": random.normal(size=(48, 1, 8, 8)).astype(np.float32)}, random.integers(0, 3, 48))
        return Data(train=examples.take(slice(0, 32)), test=examples.take(slice(32, None)))

    def model(self, seed: int) -> nn.Module:
        return Small()


def _small(folder: Path) -> Source:
    torch.manual_seed(0)
    task = Shapes({})
    data = task.data(0)
    network = task.model(0).eval()
    with torch.no_grad():
        network(torch.from_numpy(data.train.inputs["image"]))
    return Source(network, task.outputs, data.calibrating, data.judging, task, folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return _small(tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("name", QUANTISED)
def test_names_and_types_are_those_of_fp32_and_numbers_are_near(name: str, small: Source) -> None:
    form = EXPORTERS[name].format
    plain, other = (open_model(form, _made(small, one)) for one in (f"{form}-fp32", name))
    assert plain is not None and other is not None
    assert (plain.inputs, plain.outputs) == (other.inputs, other.outputs)
    told = onnx_precision if form == "onnx" else tflite_precision
    assert told(_made(small, name)) in (EXPORTERS[name].precision, "fp32" if name == "onnx-packed" else "")
    before, after = predict(plain, small.calibration), predict(other, small.calibration)
    for output in small.outputs:
        assert np.abs(before[output] - after[output]).max() <= 0.12 * np.ptp(before[output])


@pytest.mark.parametrize("name", [one for one in EXPORTERS if one.startswith("onnx")])
def test_the_same_model_gives_the_same_bytes(name: str, small: Source, tmp_path: Path) -> None:
    assert _made(_small(tmp_path), name).read_bytes() == _made(small, name).read_bytes()


@pytest.mark.parametrize("name", [one for one in QUANTISED if one.startswith("tflite")])
def test_the_same_tflite_file_gives_the_same_bytes(name: str, small: Source, tmp_path: Path) -> None:
    again = replace(small, folder=tmp_path, notes={}, _made={one: path for one, path in small._made.items() if one[0] == "tflite-fp32"})
    assert _made(again, name).read_bytes() == _made(small, name).read_bytes()


@pytest.mark.slow
def test_another_process_with_another_hash_seed_gives_the_same_bytes(small: Source, tmp_path: Path) -> None:
    """Sets of texts have another order in every process; no file may depend on it."""
    names = [one for one in EXPORTERS if EXPORTERS[one].format != "coreml"]
    lines = [
        "import importlib.util, sys, pathlib",
        f"spec = importlib.util.spec_from_file_location('other', {__file__!r})",
        "other = importlib.util.module_from_spec(spec); sys.modules['other'] = other; spec.loader.exec_module(other)",
        f"other.torch.set_num_threads(1); source = other._small(pathlib.Path({str(tmp_path)!r}))",
        f"for name in {names!r}: pathlib.Path({str(tmp_path)!r}, name + '.bytes').write_bytes(other._made(source, name).read_bytes())",
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=240, env=environment, capture_output=True)
    assert [one for one in names if (tmp_path / f"{one}.bytes").read_bytes() != _made(small, one).read_bytes()] == []


def test_tflite_layers_stay_float_by_name(small: Source) -> None:
    path = _made(small, "tflite-int8", keep_float=["conv"])
    assert small.notes[path][0] == "stay float as asked: conv"
    engine: Any = open_model("tflite", path)
    details = [(one["name"].partition(":")[0], len(one["shape"]), one["dtype"]) for one in engine._interpreter.get_tensor_details()]
    assert ("conv", 4, np.int8) not in details
    assert ("conv", 4, np.float32) in details
    assert ("head", 2, np.int8) in details


def test_packed_binary_weights_take_a_bit_and_answer_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.BatchNorm1d(512), nn.Hardtanh(), nn.Linear(512, 3)).eval()
    with torch.no_grad():
        for layer in (network[1], network[4]):
            layer.weight.sign_()
    task = Shapes({})
    task.outputs = ("logits",)  # type: ignore[misc]
    data = task.data(0)
    source = Source(network, ("logits",), data.calibrating, data.judging, task, tmp_path)
    plain, packed = _made(source, "onnx-fp32"), _made(source, "onnx-packed")
    assert np.array_equal(_answers(source, plain, data.test), _answers(source, packed, data.test))
    weights = 64 * 512 + 512 * 3
    assert packed.stat().st_size < weights / 8 + 4 * 512 * 5 + 3000
    assert source.notes[packed][0] == SIZE_ONLY


class Words(nn.Module):
    """Integers in: an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(50, 16), nn.Linear(16, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(words).mean(1))


@pytest.mark.parametrize("name", ["onnx-int8", "onnx-int8-dynamic", "onnx-int4", "onnx-packed"])
def test_models_with_integer_inputs_can_be_quantised(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    examples = Split({"words": random.integers(0, 50, (32, 6))}, random.integers(0, 2, 32))
    source = Source(Words().eval(), ("logits",), examples, examples, Shapes({}), tmp_path)
    plain, other = open_model("onnx", _made(source, "onnx-fp32")), open_model("onnx", _made(source, name))
    assert plain is not None and other is not None
    assert [one.dtype for one in other.inputs] == ["int64"]
    before, after = predict(plain, examples)["logits"], predict(other, examples)["logits"]
    assert np.abs(before - after).max() <= 0.12 * np.ptp(before)
