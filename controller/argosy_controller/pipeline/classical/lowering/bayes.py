"""Naive Bayes: log-likelihoods of the classes, and their softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from torch import nn

from argosy_controller.pipeline.classical.lowering.answers import logits


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
    """1 where a value is above the limit, else 0."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = float(limit)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Zeros and ones."""
        return (rows > self.limit).float()


def bayes(estimator: Any) -> nn.Module:
    """Probabilities of the classes."""
    if isinstance(estimator, GaussianNB):
        return Gaussian(estimator)
    if not isinstance(estimator, BernoulliNB):
        return nn.Sequential(logits(estimator.feature_log_prob_, estimator.class_log_prior_), nn.Softmax(1))
    absent = np.log1p(-np.exp(estimator.feature_log_prob_))
    counted = logits(estimator.feature_log_prob_ - absent, estimator.class_log_prior_ + absent.sum(1))
    binary = [] if estimator.binarize is None else [Above(estimator.binarize)]
    return nn.Sequential(*binary, counted, nn.Softmax(1))
