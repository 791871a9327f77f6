"""Passes on estimators with real data: what they save, what they cost, and that the files say the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import zstandard
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task

pytestmark = pytest.mark.integration

SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
_TABLES = {"digits": load_digits, "breast-cancer": load_breast_cancer, "diabetes": load_diabetes}


class Table(Task):
    """One of scikit-learn's own tables, in random order: half to learn from, a quarter to choose by."""

    name = "table"
    table = "digits"

    def data(self, seed: int) -> Data:
        columns, targets = _TABLES[self.table](return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(targets))
        rows = Split({"features": columns.astype(np.float32)}, targets).take(order)
        half, most = len(rows) // 2, 3 * len(rows) // 4
        return Data(train=rows.take(slice(0, half)), validation=rows.take(slice(half, most)), test=rows.take(slice(most, None)))


@dataclass
class Bench:
    """A fitted model with its task, and what passes make of it."""

    model: Fitted
    context: Context
    notes: list[str] = field(default_factory=list)

    def applied(self, use: str, model: Fitted | None = None, **options: Any) -> Fitted:
        one = PASSES[use]
        result = one.apply(model or self.model, msgspec.convert(options, one.config), self.context)
        assert isinstance(result, Fitted)
        return result

    def figure(self, model: Fitted) -> float:
        """The metric on the test data."""
        rows = self.context.data.test
        with torch.no_grad():
            answers = model(torch.from_numpy(rows.inputs["features"]))
        outputs = {name: one.numpy() for name, one in zip(model.outputs, answers, strict=True)}
        return self.context.task.judged_by.value(outputs, rows.targets)


@cache
def _bench(table: str, family: str, seed: int = 0) -> Bench:
    task = Table({})
    task.table = table
    estimator = _FAMILIES[family]()
    task.outputs = usual_outputs(estimator)  # type: ignore[misc]
    if table == "diabetes":
        task.metric = "rmse"  # type: ignore[misc]
    data, notes = task.data(seed), []  # type: ignore[var-annotated]
    model = Fitted(estimator, "features", task.outputs).fitted_on(data.train, seed)
    return Bench(model, Context(task, data, seed, lambda done, total: None, note=notes.append), notes)


_FAMILIES: Mapping[str, Any] = {
    "forest": lambda: RandomForestClassifier(100),
    "scaled forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(30)),
    "forest of values": lambda: RandomForestRegressor(60),
    "tree": lambda: DecisionTreeClassifier(),
    "svm": lambda: SVC(gamma=0.001),
    "scaled svm": lambda: make_pipeline(StandardScaler(), SVC()),
    "svm of values": lambda: make_pipeline(StandardScaler(), SVR(C=50)),
}


def _parameters(model: Fitted) -> int:
    return sum(one.numel() for one in model.weights())


def test_forest_of_digits_keeps_its_accuracy_with_half_of_its_trees() -> None:
    bench = _bench("digits", "forest")
    thin = bench.applied("thin-forest", drop_at_most=0.01)
    assert len(thin.estimator.estimators_) <= 50
    assert bench.figure(thin) >= bench.figure(bench.model) - 0.02


def test_thinning_by_worth_beats_the_first_trees() -> None:
    bench = _bench("digits", "forest")
    chosen = bench.figure(bench.applied("thin-forest", trees=8))
    trees = bench.model.estimator.estimators_
    rows, targets = bench.context.data.test.inputs["features"], bench.context.data.test.targets
    firsts = [np.mean([tree.predict_proba(rows) for tree in trees[start : start + 8]], axis=0) for start in range(0, 96, 8)]
    assert chosen > np.mean([(one.argmax(1) == targets).mean() for one in firsts])


def test_forest_of_values_is_thinned_by_its_own_metric() -> None:
    bench = _bench("diabetes", "forest of values")
    thin = bench.applied("thin-forest", drop_at_most=1.0)  # of the RMSE, which is about 57
    assert len(thin.estimator.estimators_) < 45
    assert bench.figure(thin) < bench.figure(bench.model) + 2.5


def test_pruned_tree_is_smaller_and_no_worse_on_breast_cancer() -> None:
    bench = _bench("breast-cancer", "tree")
    pruned = bench.applied("prune-tree", drop_at_most=0.0)
    assert _parameters(pruned) < 0.7 * _parameters(bench.model)
    assert bench.figure(pruned) >= bench.figure(bench.model) - 0.02


@pytest.mark.parametrize("method", ["select", "centres"])
def test_svm_of_digits_needs_a_third_of_its_vectors(method: str) -> None:
    bench = _bench("digits", "svm")
    fewer = bench.applied("reduce-vectors", share=0.3, method=method)
    assert len(fewer.estimator.support_vectors_) < 0.32 * len(bench.model.estimator.support_vectors_)
    assert bench.figure(fewer) >= bench.figure(bench.model) - 0.02


def test_svm_of_values_keeps_its_error_with_half_of_its_vectors() -> None:
    bench = _bench("diabetes", "svm of values")
    assert bench.figure(bench.applied("reduce-vectors", share=0.5)) < bench.figure(bench.model) + 1.0


@pytest.mark.parametrize(("table", "family"), [("breast-cancer", "forest"), ("breast-cancer", "scaled forest")])
def test_rounded_thresholds_keep_every_label_and_pack_smaller(table: str, family: str) -> None:
    bench = _bench(table, family)
    rounded = bench.applied("round-thresholds")
    for split in (bench.context.data.train, bench.context.data.test):
        rows = torch.from_numpy(split.inputs["features"])
        assert torch.equal(rounded(rows)[1], bench.model(rows)[1])
    pack = zstandard.ZstdCompressor(level=19).compress
    assert len(pack(rounded.onnx())) < 0.93 * len(pack(bench.model.onnx()))
    assert "thresholds are 16-bit numbers" in bench.notes[-1]


@pytest.mark.parametrize(
    ("table", "family", "chain"),
    [
        ("digits", "forest", ["thin-forest", "prune-tree", "round-thresholds"]),
        ("breast-cancer", "scaled svm", ["reduce-vectors"]),
        ("diabetes", "forest of values", ["thin-forest", "round-thresholds"]),
        ("diabetes", "svm of values", ["reduce-vectors"]),
    ],
)
def test_files_of_changed_models_answer_as_they_do(table: str, family: str, chain: list[str], tmp_path: Path) -> None:
    bench = _bench(table, family)
    model = bench.model
    for use in chain:
        model = bench.applied(use, model)
    rows = bench.context.data.test.inputs["features"]
    (tmp_path / "model.onnx").write_bytes(model.onnx())
    engine = open_model("onnx", tmp_path / "model.onnx")
    assert engine is not None
    found = engine.run({"features": rows})
    with torch.no_grad():
        wanted, lowered = model(torch.from_numpy(rows)), model.network()(torch.from_numpy(rows))
    size = max(1.0, float(wanted[0].abs().max()))
    np.testing.assert_allclose(found[model.outputs[0]], wanted[0].numpy(), atol=1e-4 * size)
    lowered_first = lowered[0] if isinstance(lowered, tuple) else lowered
    np.testing.assert_allclose(lowered_first.numpy(), wanted[0].numpy(), atol=1e-4 * size)
    if model.classifies:
        assert (found[model.outputs[1]] == wanted[1].numpy()).mean() >= 0.999


@pytest.mark.parametrize(("family", "use"), [("forest", "onnx-int8"), ("tree", "onnx-int8-dynamic")])
def test_refuses_eight_bits_where_an_onnx_file_has_no_matrix(family: str, use: str, tmp_path: Path) -> None:
    from argosy_controller.pipeline.exporters import EXPORTERS
    from argosy_controller.pipeline.exporters.interface import Source

    bench = _bench("breast-cancer", family)
    data = bench.context.data
    source = Source(bench.model, bench.model.outputs, data.calibrating, data.judging, bench.context.task, tmp_path)
    with pytest.raises(InvalidInput, match="no matrix product in an ONNX file has nothing there to quantise: use onnx-fp32"):
        source.file(EXPORTERS[use])
