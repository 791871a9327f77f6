"""What classical passes do not take: one sentence each, before anything was changed."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from argosy.errors import InvalidInput


@pytest.mark.parametrize(
    ("use", "estimator", "words"),
    [
        (
            "prune-tree",
            GaussianNB(),
            "pass prune-tree changes a decision tree or a forest, and the model is a GaussianNB: leave the pass out",
        ),
        ("round-thresholds", SVC(), "changes a decision tree or a forest, and the model is a SVC"),
        ("thin-forest", DecisionTreeClassifier(), "changes a random forest or extra trees, and the model is a DecisionTreeClassifier"),
        ("reduce-vectors", RandomForestClassifier(3), "changes an SVC or SVR, and the model is a RandomForestClassifier"),
    ],
)
def test_refuses_an_estimator_of_another_family(given: Any, applied: Any, use: str, estimator: Any, words: str) -> None:
    model, context, _ = given(estimator)
    with pytest.raises(InvalidInput, match=words):
        applied(use, model, context)


@pytest.mark.parametrize(
    ("use", "estimator", "end"),
    [
        ("prune-tree", DecisionTreeClassifier(), r"validation=Split\(...\)\), or set alpha"),
        ("thin-forest", RandomForestClassifier(3), r"validation=Split\(...\)\)$"),
        ("reduce-vectors", SVC(), r"validation=Split\(...\)\), or set share"),
    ],
)
def test_refuses_to_choose_without_validation_data(
    given: Any, applied: Any, without_validation: Any, use: str, estimator: Any, end: str
) -> None:
    model, context, _ = given(estimator)
    with pytest.raises(InvalidInput, match=f"pass {use} chooses by validation data, and data.. of task 'halves' holds none back: .*{end}"):
        applied(use, model, without_validation(context))
