"""A decision tree that predicts a number: how far diabetes goes within a year."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeRegressor

from argosy_controller.zoo.datasets.tables import Diabetes


class DecisionTreeRegression(Diabetes):
    name = "decision-tree-regressor"
    depth = 3

    def model(self, seed: int) -> BaseEstimator:
        return DecisionTreeRegressor(max_depth=self.depth, min_samples_leaf=15)
