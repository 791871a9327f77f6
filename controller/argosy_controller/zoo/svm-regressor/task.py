"""A support vector machine that predicts a number: how far diabetes goes within a year."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from argosy_controller.zoo.datasets.tables import Diabetes


class SvmRegressor(Diabetes):
    name = "svm-regressor"
    penalty = 30.0

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), SVR(C=self.penalty))
