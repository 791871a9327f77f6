"""A random forest on handwritten digits."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier

from argosy_controller.zoo.datasets.tables import DigitTable


class RandomForest(DigitTable):
    name = "random-forest"
    trees = 100

    def model(self, seed: int) -> BaseEstimator:
        return RandomForestClassifier(self.trees)
