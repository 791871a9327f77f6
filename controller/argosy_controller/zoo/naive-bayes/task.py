"""Gaussian naive Bayes on handwritten digits; pixels that hardly vary get a floor under their variance."""

from __future__ import annotations

from sklearn.base import BaseEstimator
from sklearn.naive_bayes import GaussianNB

from argosy_controller.zoo.datasets.tables import DigitTable


class NaiveBayes(DigitTable):
    name = "naive-bayes"
    smoothing = 0.03

    def model(self, seed: int) -> BaseEstimator:
        return GaussianNB(var_smoothing=self.smoothing)
