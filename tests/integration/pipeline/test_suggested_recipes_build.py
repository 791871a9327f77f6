"""`controller recipes suggest`, and a build of what it wrote, for a task that nobody tuned it for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from argosy.errors import Conflict, InvalidInput, NotFound
from argosy_controller.cli import controller
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.report import read_report

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).parents[3] / "examples"
WINE = """import numpy as np
from sklearn.datasets import load_wine
from torch import nn
from argosy_controller.pipeline.task import Data, Split, Task

class Wine(Task):
    name = "wine"
    outputs = ("logits",)
    epochs = 40

    def data(self, seed):
        wine = load_wine()
        x = ((wine.data - wine.data.mean(0)) / wine.data.std(0)).astype(np.float32)
        order = np.random.default_rng(seed).permutation(len(x))
        parts = [Split({"chemistry": x[index]}, wine.target[index]) for index in (order[:90], order[90:])]
        return Data(train=parts[0], test=parts[1])

    def model(self, seed):
        return nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
"""


@pytest.mark.slow
def test_suggestion_for_a_new_task_builds_and_meets_its_goals(tmp_path: Path) -> None:
    task, recipe = tmp_path / "wine", tmp_path / "recipe.toml"
    task.mkdir()
    (task / "task.py").write_text(WINE)
    ended = CliRunner().invoke(controller, ["recipes", "suggest", str(task), "--out", str(recipe)])
    assert ended.exit_code == 0, ended.output
    assert "accuracy_drop_at_most" in recipe.read_text()
    out = run_build(task, recipe, tmp_path / "out", None, {}, 0, lambda progress: None)
    report = read_report((out / "report.json").read_bytes())
    assert len(report.variants) == 4
    assert report.reproduce == "controller build wine --recipe recipe.toml --seed 0 --out bundle"
    page = (out / "report.html").read_text()
    assert "onnx-packed" in page and "Content-Security-Policy" in page


def test_suggestion_goes_to_stdout_alone_or_into_one_document() -> None:
    plain = CliRunner().invoke(controller, ["recipes", "suggest", str(EXAMPLES / "tabular")])
    assert parse_recipe(plain.stdout).variants
    document = json.loads(CliRunner().invoke(controller, ["recipes", "suggest", str(EXAMPLES / "tabular"), "--json"]).stdout)
    assert document["recipe"] == plain.stdout


def test_nothing_is_overwritten_and_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("mine")
    cases = [
        ([str(EXAMPLES / "digits"), "--out", str(tmp_path / "recipe.toml")], Conflict),
        ([str(tmp_path / "nothing")], NotFound),
        ([str(EXAMPLES / "digits"), "--set", "sise=8"], InvalidInput),
    ]
    for arguments, kind in cases:
        assert isinstance(CliRunner().invoke(controller, ["recipes", "suggest", *arguments]).exception, kind)
    assert (tmp_path / "recipe.toml").read_text() == "mine"
