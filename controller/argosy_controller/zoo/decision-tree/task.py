"""A decision tree on handwritten digits."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeClassifier

from argosy_controller.zoo.datasets.tables import DigitTable


class DecisionTree(DigitTable):
    name = "decision-tree"
    depth = 12

    def model(self, seed: int) -> BaseEstimator:
        return DecisionTreeClassifier(max_depth=self.depth)
