"""Naive Bayes: log-likelihoods of the classes, and their softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from torch import nn

from argosy_controller.pipeline.classical.families import final
from argosy_controller.pipeline.classical.lowering.answers import logits
from argosy_controller.pipeline.classical.thresholds import of_columns
from argosy_controller.pipeline.task import Array


class Gaussian(nn.Module):
    """Each column with its own mean and deviation in each class.

    A column that hardly varies in training has a deviation near 0, and its squared distance can be a billion for every class:
    in float32 the other columns would be lost in the sum. Each column's smallest distance over the classes is taken off first,
    which changes every class's sum alike and no probability.
    """

    middle: torch.Tensor
    width: torch.Tensor
    prior: torch.Tensor

    def __init__(self, estimator: GaussianNB) -> None:
        super().__init__()
        prior = np.log(estimator.class_prior_) - 0.5 * np.log(2.0 * np.pi * estimator.var_).sum(1)
        for name, value in (("middle", estimator.theta_), ("width", np.sqrt(estimator.var_)), ("prior", prior - prior.max())):
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)[None]))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities (rows, classes)."""
        distance = ((rows[:, None, :] - self.middle) / self.width) ** 2
        distance = distance - distance.amin(1, keepdim=True)
        return torch.softmax(self.prior - 0.5 * distance.sum(2), 1)


class Above(nn.Module):
    """1 where a value is above its column's limit, else 0."""

    limit: torch.Tensor

    def __init__(self, limits: Array) -> None:
        super().__init__()
        self.register_buffer("limit", torch.from_numpy(limits[None]))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Zeros and ones."""
        return (rows > self.limit).float()


def bayes(estimator: Any) -> nn.Module:
    """Probabilities of the classes."""
    if isinstance(estimator, GaussianNB):
        return Gaussian(estimator)
    if isinstance(estimator, BernoulliNB):
        return _counted(estimator)
    return nn.Sequential(logits(estimator.feature_log_prob_, estimator.class_log_prior_), nn.Softmax(1))


def in_zeros_and_ones(estimator: Any) -> nn.Module:
    """Probabilities of a BernoulliNB that makes zeros and ones of columns itself, its scalers part of the limits.

    A smallest value that a scaler puts at the limit, 0 most often, must not come out just above it by another rounding.
    """
    last = final(estimator)
    return nn.Sequential(Above(of_columns(estimator, last.binarize)), _counted(last))


def _counted(estimator: BernoulliNB) -> nn.Module:
    absent = np.log1p(-np.exp(estimator.feature_log_prob_))
    counted = logits(estimator.feature_log_prob_ - absent, estimator.class_log_prior_ + absent.sum(1))
    return nn.Sequential(counted, nn.Softmax(1))
