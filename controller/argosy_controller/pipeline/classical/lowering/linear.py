"""Linear models: one matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from torch import nn

from argosy_controller.pipeline.classical.families import CLASSIFIERS
from argosy_controller.pipeline.classical.lowering.answers import Affine, TwoColumns, logits


def linear(estimator: Any) -> nn.Module:
    """Probabilities of a logistic regression, decision values of another classifier, the value of a regressor."""
    weight = np.atleast_2d(estimator.coef_)
    bias = np.broadcast_to(np.asarray(estimator.intercept_, np.float64).reshape(-1), weight.shape[:1])
    if not isinstance(estimator, CLASSIFIERS):
        return Affine(weight, bias)
    probable = isinstance(estimator, LogisticRegression)
    if len(estimator.classes_) == 2:
        return nn.Sequential(Affine(weight, bias), TwoColumns(), *([nn.Sigmoid()] if probable else []))
    return nn.Sequential(logits(weight, bias), nn.Softmax(1)) if probable else Affine(weight, bias)
