"""Whole builds of two small real data sets: an AUC of tumours and an error of regression, with drops, goals and layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import GoalsNotMet, InvalidInput
from argosy_controller.pipeline.build import run_build

pytestmark = pytest.mark.integration

TUMOURS = """
import numpy as np
from sklearn.datasets import load_breast_cancer
from torch import nn
from argosy_controller.pipeline.task import Data, Split, Task

class Tumours(Task):
    name, outputs, metric, labels = "tumours", ("logits",), "auc", ("malignant", "benign")
    epochs = 30

    def data(self, seed):
        x, y = load_breast_cancer(return_X_y=True)
        x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
        order = np.random.default_rng(seed).permutation(len(x))
        x, y = x[order], y[order]
        return Data(train=Split({"cells": x[:300]}, y[:300]), test=Split({"cells": x[300:]}, y[300:]))

    def model(self, seed):
        return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))
"""
DIABETES = """
import numpy as np
from sklearn.datasets import load_diabetes
from torch import nn
from argosy_controller.pipeline.task import Data, Split, Task

class Diabetes(Task):
    name, metric = "diabetes", "rmse"
    epochs, learning_rate = 40, 1e-2

    def data(self, seed):
        x, y = load_diabetes(return_X_y=True)
        x, y = (x * 20).astype(np.float32), ((y - 150) / 75).astype(np.float32)
        return Data(train=Split({"patient": x[:300]}, y[:300]), test=Split({"patient": x[300:]}, y[300:]))

    def model(self, seed):
        return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))

    def loss(self, outputs, targets):
        return nn.functional.mse_loss(outputs[0][:, 0], targets)
"""
VARIANTS = '[[variants]]\nuse = "onnx-fp32"\n[[variants]]\nuse = "onnx-int8"\n'


def _build(folder: Path, task: str, recipe: str) -> Any:
    (folder / "task.py").write_text(task)
    (folder / "recipe.toml").write_text(recipe + VARIANTS)
    run_build(folder, folder / "recipe.toml", folder / "out", None, {}, 0, lambda progress: None)
    return _report(folder)


def _report(folder: Path) -> Any:
    return json.loads((folder / "out" / "report.json").read_text())


def test_auc_of_tumours_with_paired_drop_layers_and_confusion(tmp_path: Path) -> None:
    goals = "[goals]\naccuracy_at_least = 0.9\naccuracy_drop_at_most = 0.05\np99_us_at_most = 1e6\nmacs_at_most = 1024\n"
    report = _build(tmp_path, TUMOURS, goals)
    assert all(one["met"] for one in report["goals"])
    assert report["baseline"]["accuracy"]["metric"] == "auc"
    assert report["baseline"]["macs"] == 1024
    assert "BCa" in report["interval"]
    for variant in report["variants"]:
        accuracy, drop = variant["accuracy"], variant["drop"]
        assert 0.95 < accuracy["low"] < accuracy["value"] <= accuracy["high"] <= 1
        assert drop["low"] <= drop["value"] <= drop["high"] < 0.05
        assert variant["confusion"]["labels"] == ["malignant", "benign"]
        assert sum(map(sum, variant["confusion"]["after"])) == 269
        assert [one["name"] for one in variant["layers"]] == ["0", "2"]
    assert sum(one["error_share"] for one in report["variants"][1]["layers"]) == pytest.approx(1)


def test_error_of_regression_is_judged_at_its_high_end(tmp_path: Path) -> None:
    with pytest.raises(GoalsNotMet, match=r"examples are too few to decide|error_at_most"):
        _build(tmp_path, DIABETES, "[goals]\nerror_at_most = 0.01\n")
    report = _report(tmp_path)
    accuracy = report["variants"][0]["accuracy"]
    assert accuracy["higher_is_better"] is False
    assert 0.5 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 1.2
    assert report["goals"][0]["judged"] == accuracy["high"]
    assert report["variants"][1]["drop"]["metric"] == "rmse"
    assert report["variants"][1]["confusion"] is None


def test_a_goal_that_the_metric_cannot_have_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="less is better: use error_at_most"):
        _build(tmp_path, DIABETES, "[goals]\naccuracy_at_least = 0.9\n")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
