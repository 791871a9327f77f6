"""Rows of layers: what the file holds, and which layer cost the accuracy."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.numbers.layers import with_layers
from argosy_controller.pipeline.numbers.stored_weights import stored_layers
from argosy_controller.pipeline.report import Layer
from argosy_controller.pipeline.task import Task
from argosy_controller.pipeline.variants import Measured

#: Of the converters.
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]

ANY = Accuracy(metric="accuracy", value=1.0, low=0.9, high=1.0, examples=40)


@pytest.fixture
def normed(task: Task) -> nn.Module:
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(32, 16, bias=False), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(64, 1, 8, 8) * 3 + 1)
        model[1].weight.uniform_(0.5, 3)  # type: ignore[operator]
    return model.eval()


def _layers(use: str, task: Task, model: nn.Module, folder: Path, original: nn.Module | None = None) -> list[Layer]:
    data = task.data(0)
    source = Source(model, task.outputs, data.calibrating, data.judging, task, folder)
    exporter = EXPORTERS[use]
    file = source.file(exporter)
    variant = Measured(use, exporter.format, exporter.precision, file, [], [], accuracy=ANY)
    return with_layers(variant, original or model, source).layers


@pytest.mark.parametrize("use", ["onnx-int8", "onnx-int8-dynamic", "onnx-int4", "tflite-int8"])
def test_every_weight_is_found_in_the_file_and_named_as_in_torch(use: str, task: Task, normed: nn.Module, tmp_path: Path) -> None:
    rows = _layers(use, task, normed, tmp_path)
    assert [(one.name, one.kind, one.shape) for one in rows] == [
        ("0", "Conv2d", [8, 1, 3, 3]),
        ("3", "Conv2d", [8, 1, 3, 3]),
        ("7", "Linear", [16, 32]),
        ("9", "Linear", [2, 16]),
    ]
    assert [one.macs for one in rows] == [8 * 9 * 64, 8 * 9 * 64, 512, 32]
    bits = 4 if use == "onnx-int4" else 8
    assert rows[2].bits == bits
    assert 512 * bits // 8 <= rows[2].bytes <= 512 * bits // 8 + 16 * 12
    shares = [one.error_share for one in rows if one.error_share is not None]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] < 0.9  # what batch norm's factor changed is no error
    assert "batch norm is folded in" in rows[0].note
    assert rows[2].note == ""


def test_single_precision_without_passes_costs_nothing(task: Task, normed: nn.Module, tmp_path: Path) -> None:
    rows = _layers("onnx-fp32", task, normed, tmp_path)
    assert [one.error_share for one in rows] == [None] * 4
    assert [one.accuracy_cost for one in rows] == [0.0] * 4
    assert [one.bytes for one in rows] == [288, 288, 2048, 128]


def test_the_layer_that_was_changed_gets_the_blame(task: Task, network: Any, tmp_path: Path) -> None:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed[6].weight[0].mul_(-1)
        changed[0].weight[0, 0, 0] = 0
    rows = _layers("onnx-fp32", task, changed, tmp_path, network)
    by_name = {one.name: one for one in rows}
    assert by_name["2"].error_share == pytest.approx(0, abs=1e-9)
    assert by_name["6"].error_share is not None
    assert by_name["6"].error_share > 0.8
    assert by_name["0"].sparsity == pytest.approx(3 / 72)


def test_blame_by_hand(task: Task, tmp_path: Path) -> None:
    # Output 64 w2 w1 of an image of ones: from 64 to 96 by the second layer alone, to 80 by the first alone.
    class Chain(nn.Module):
        def __init__(self, first: float, second: float) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(64, 2, bias=False), nn.Linear(2, 2, bias=False)
            nn.init.constant_(self.one.weight, first / 2)
            nn.init.constant_(self.two.weight, second)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.two(self.one(image.flatten(1)))
            return out

    rows = _layers("onnx-fp32", task, Chain(1.25, 1.5), tmp_path, Chain(1.0, 1.0))
    assert [one.error_share for one in rows] == pytest.approx([0.2, 0.8])  # 16 x 16 against 32 x 32


def test_a_changed_shape_is_told_and_the_model_after_the_passes_is_compared(task: Task, network: Any, tmp_path: Path) -> None:
    narrow = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), *list(network)[4:]).eval()
    rows = _layers("onnx-int8", task, narrow, tmp_path, network)
    assert [one.note.startswith("passes changed its shape") for one in rows] == [True, True, False]
    assert sum(one.error_share or 0 for one in rows) == pytest.approx(1)


def test_a_ready_file_has_rows_without_a_model(task: Task, network: Any, tmp_path: Path) -> None:
    data = task.data(0)
    file = Source(network, task.outputs, data.calibrating, data.judging, task, tmp_path).file(EXPORTERS["tflite-int8"])
    rows = stored_layers("tflite", file)
    assert [one.kind for one in rows] == ["DEPTHWISE_CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    assert all(one.bits == 8 and one.error_share is None for one in rows)


def test_a_file_that_cannot_be_read_so_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\x08\x07 no model")
    assert stored_layers("onnx", tmp_path / "bad") == stored_layers("tflite", tmp_path / "bad") == []


def test_four_bits_of_tflite_are_counted_as_they_lie_in_the_file(task: Task, network: Any, tmp_path: Path) -> None:
    rows = _layers("tflite-int4", task, network, tmp_path)
    assert rows[-1].bits == 4
    assert rows[-1].error_share is not None


def test_a_variant_that_does_not_run_here_has_no_rows(task: Task, network: Any, tmp_path: Path) -> None:
    data = task.data(0)
    source = Source(network, task.outputs, data.calibrating, data.judging, task, tmp_path)
    assert with_layers(Measured("v", "coreml", "fp16", tmp_path, [], []), network, source).layers == []


def test_packed_bits_come_back_as_the_numbers_that_the_runtime_uses(task: Task, network: Any, tmp_path: Path) -> None:
    binary = copy.deepcopy(network)
    with torch.no_grad():
        binary[2].weight.copy_(binary[2].weight.sign() * 0.25)
    rows = _layers("onnx-packed", task, binary, tmp_path)
    row = next(one for one in rows if one.name == "2")
    assert row.bits < 2
    assert row.accuracy_cost == 0.0
    assert np.isclose(row.sparsity, 0)
