"""A random forest that predicts a number: how far diabetes goes within a year."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestRegressor

from argosy_controller.zoo.datasets.tables import Diabetes


class RandomForestRegression(Diabetes):
    name = "random-forest-regressor"
    trees = 100

    def model(self, seed: int) -> BaseEstimator:
        return RandomForestRegressor(self.trees, min_samples_leaf=4)
