"""Multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from argosy_controller.pipeline.classical.families import CLASSIFIERS
from argosy_controller.pipeline.classical.lowering.answers import Affine, TwoColumns

_HIDDEN: dict[str, Callable[[], nn.Module]] = {"identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class Exp(nn.Module):
    """e to the power of x: the link of a Poisson regression."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As torch.exp."""
        return x.exp()


def perceptron(estimator: Any) -> nn.Module:
    """Probabilities of a classifier, the value of a regressor."""
    affine = [Affine(weight.T, bias) for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True)]
    layers = [part for one in affine[:-1] for part in (one, _HIDDEN[estimator.activation]())]
    return nn.Sequential(*layers, affine[-1], *_last(estimator))


def _last(estimator: Any) -> list[nn.Module]:
    if isinstance(estimator, CLASSIFIERS):
        return [TwoColumns(), nn.Sigmoid()] if estimator.out_activation_ == "logistic" else [nn.Softmax(1)]
    return [Exp()] if estimator.out_activation_ == "exp" else []
