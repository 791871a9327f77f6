"""A logistic regression behind a scaler, on handwritten digits."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argosy_controller.zoo.datasets.tables import DigitTable


class LogisticRegressionOfDigits(DigitTable):
    name = "logistic-regression"
    strength = 0.1

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), LogisticRegression(C=self.strength, max_iter=500))
