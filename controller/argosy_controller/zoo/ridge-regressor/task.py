"""A ridge regression behind a scaler: how far diabetes goes within a year."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argosy_controller.zoo.datasets.tables import Diabetes


class RidgeRegressor(Diabetes):
    name = "ridge-regressor"
    strength = 10.0

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), Ridge(self.strength))
