"""scikit-learn's perceptron behind a scaler, on handwritten digits."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argosy_controller.zoo.datasets.tables import DigitTable


class SklearnMlp(DigitTable):
    name = "sklearn-mlp"
    width = 64

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), MLPClassifier((self.width,), max_iter=100))
