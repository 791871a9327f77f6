"""A support vector machine with a radial kernel behind a scaler, on handwritten digits."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from argosy_controller.zoo.datasets.tables import DigitTable


class Svm(DigitTable):
    name = "svm"
    outputs = ("scores", "label")
    penalty = 3.0

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), SVC(C=self.penalty))
