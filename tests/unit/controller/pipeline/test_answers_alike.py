"""How far the answers of an estimator in few bits stray: hand-computed."""

from __future__ import annotations

import numpy as np
import pytest

from argosy_controller.pipeline.exporters.faithful import LABELS, SCORES, VALUES, strayed


def test_values_count_against_their_own_deviation() -> None:
    wanted = np.array([[0.0], [2.0]])  # deviation 1
    assert strayed({"value": wanted}, {"value": wanted + 0.05}) == pytest.approx(0.05 / VALUES)


def test_the_worse_of_scores_and_labels_counts() -> None:
    scores, labels = np.array([[0.0, 2.0], [2.0, 0.0]]), np.array([1, 0])
    moved = {"scores": scores + 0.1, "label": labels}
    assert strayed({"scores": scores, "label": labels}, moved) == pytest.approx(0.1 / SCORES)
    assert strayed({"scores": scores, "label": labels}, moved | {"label": np.array([1, 1])}) == pytest.approx(0.5 / LABELS)


def test_answers_that_are_all_the_same_may_not_move() -> None:
    assert strayed({"value": np.ones((3, 1))}, {"value": np.ones((3, 1))}) == 0.0
    assert strayed({"value": np.ones((3, 1))}, {"value": np.ones((3, 1)) * 1.01}) > 1.0
