"""Columns made alike change no answer, and no unit of measurement counts afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC
from torch import nn

from argosy_controller.pipeline.classical.lowering import lowered
from argosy_controller.pipeline.classical.lowering.levels import Level, levelled

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::scipy.linalg.LinAlgWarning")


def _table(units: list[float], seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = (random.standard_normal((40, len(units))) + random.uniform(0, 3, len(units))) * np.array(units)
    sums = (rows / np.array(units)).sum(1)
    return rows.astype(np.float32), sums > np.median(sums)


def test_a_column_is_taken_around_its_mean_and_its_weight_takes_its_size() -> None:
    rows = np.array([[0.0, 100.0], [3.0, 100.0], [0.0, 400.0]], np.float32)
    model = Ridge(alpha=1e-6).fit(rows, [1.0, 7.0, 301.0])  # 1 + 2 a + 1 (b - 100)
    level, head = levelled(lowered(model), rows)
    assert isinstance(level, Level)
    np.testing.assert_allclose(level.middle, [[1.0, 200.0]])
    np.testing.assert_allclose(level.width, [[2.0, 200.0]])
    np.testing.assert_allclose(head.weight, [[4.0, 200.0]], rtol=1e-3)
    np.testing.assert_allclose(head.bias, [103.0], rtol=1e-3)


@given(
    st.lists(st.sampled_from([1e-3, 1.0, 4e3]), min_size=2, max_size=5),
    st.integers(0, 1000),
    st.sampled_from(
        [
            "ridge",
            "perceptron",
            "linear-machine",
            "poly-machine",
            "standard-ridge",
            "standard-perceptron",
            "robust-perceptron",
            "clip-ridge",
        ]
    ),
)
def test_answers_are_those_of_the_columns_as_they_are(units: list[float], seed: int, name: str) -> None:
    scaler, _, family = name.rpartition("-")
    last = {
        "ridge": Ridge(),
        "perceptron": MLPClassifier((4,), max_iter=20, random_state=seed),
        "machine": SVC(kernel=scaler) if family == "machine" else None,
    }[family]
    front = {"standard": StandardScaler(), "robust": RobustScaler(), "clip": MinMaxScaler(clip=True)}.get(scaler)
    rows, targets = _table(units, seed)
    if family == "machine":
        rows = (rows / np.array(units)).astype(np.float32)  # else libsvm takes for ever
    network = lowered((make_pipeline(front, last) if front else last).fit(rows, targets))
    alike = levelled(network, rows)
    seen: list[torch.Tensor] = []
    level = next(one for one in alike if isinstance(one, Level))
    level.register_forward_hook(lambda one, given, result: seen.append(result))
    with torch.no_grad():
        wanted, got = network(torch.from_numpy(rows)), alike(torch.from_numpy(rows))
    wanted, got = (one[0] if isinstance(one, tuple) else one for one in (wanted, got))
    scale = max(1.0, float(wanted.abs().max()))
    assert float((wanted - got).abs().max()) < 1e-3 * scale
    assert float(seen[0].abs().max()) <= 1.0001
    assert len(list(alike)) == 2 + (scaler == "clip")  # a plain scaler became part of the levels


def test_what_compares_columns_itself_stays_as_it_is() -> None:
    rows, targets = _table([1.0, 1.0], 0)
    for model in (GaussianNB(), SVC()):
        network = lowered(model.fit(rows, targets))
        assert levelled(network, rows) is network


def test_a_column_that_never_changes_divides_by_nothing_small() -> None:
    rows = np.array([[5.0, 1.0], [5.0, 2.0]], np.float32)
    network = lowered(Ridge().fit(rows, [1.0, 2.0]))
    found = levelled(network, rows)
    assert isinstance(found, nn.Sequential)
    with torch.no_grad():
        torch.testing.assert_close(found(torch.from_numpy(rows)), network(torch.from_numpy(rows)))
