"""scikit-learn's perceptron behind a scaler: how far diabetes goes within a year."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argosy_controller.zoo.datasets.tables import Diabetes


class SklearnMlpRegressor(Diabetes):
    name = "sklearn-mlp-regressor"
    width = 16

    def model(self, seed: int) -> BaseEstimator:
        return make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(self.width,), solver="lbfgs", alpha=30.0, max_iter=400))
