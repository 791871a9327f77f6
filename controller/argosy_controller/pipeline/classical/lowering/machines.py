"""Support vector machines: kernels, decision values of pairs of classes, and their votes, as in libsvm."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVR
from torch import nn

from argosy_controller.pipeline.classical.lowering.answers import Affine, TwoColumns
from argosy_controller.pipeline.task import Array


class Radial(nn.Module):
    """exp(-gamma |x - s|^2) for every support vector s.

    As |x|^2 + |s|^2 - 2 x s, which needs no memory for every pair's difference. Around the vectors' mean, and scaled first,
    so that what is subtracted stays small.
    """

    middle: torch.Tensor
    squares: torch.Tensor

    def __init__(self, vectors: Array, gamma: float) -> None:
        super().__init__()
        middle, self.scale = vectors.mean(0), float(np.sqrt(gamma))
        near = (vectors - middle) * self.scale
        self.vectors = Affine(near, np.zeros(len(near)))
        for name, value in (("middle", middle[None]), ("squares", (near**2).sum(1)[None])):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Similarities (rows, vectors)."""
        near = (rows - self.middle) * self.scale
        distance: torch.Tensor = (near**2).sum(1, keepdim=True) + self.squares - 2.0 * self.vectors(near)
        return torch.exp(-distance.clamp_min(0.0))


class Polynomial(nn.Module):
    """(gamma x s + coef0)^degree for every support vector s, less the same for the vectors' mean.

    The coefficients of a decision value sum to 0, so that what all kernels have in common does not count; where columns are all
    positive it is most of them, and in float32 the rest would be lost. With p for s, q for the mean and d = p - q, computed
    without subtraction: p^k - q^k = p (p^(k-1) - q^(k-1)) + q^(k-1) d.
    """

    def __init__(self, vectors: Array, gamma: float, coef0: float, degree: int) -> None:
        super().__init__()
        middle, self.degree = vectors.mean(0), int(degree)
        self.middle = Affine(gamma * middle[None], np.array([float(coef0)]))
        self.vectors = Affine(gamma * (vectors - middle), np.zeros(len(vectors)))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Similarities (rows, vectors)."""
        at_middle, beyond = self.middle(rows), self.vectors(rows)
        found: torch.Tensor = beyond
        power = at_middle
        for _ in range(self.degree - 1):
            found = found * (beyond + at_middle) + power * beyond
            power = power * at_middle
        return found


class Kernels(nn.Module):
    """Weighted sums of similarities to the support vectors."""

    def __init__(self, kernel: nn.Module, weights: Array, bias: Array) -> None:
        super().__init__()
        self.kernel, self.sum = kernel, Affine(weights, bias)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Decision values (rows, weights' rows)."""
        found: torch.Tensor = self.sum(self.kernel(rows))
        return found


class Votes(nn.Module):
    """One-against-one: scores and labels out of a decision value for each pair of classes i < j, positive for i.

    The label has most votes, the first of several; scores are votes plus a part below 1/2 of the summed decision values, as
    `decision_function` gives them.
    """

    first: torch.Tensor
    second: torch.Tensor

    def __init__(self, decisions: nn.Module, classes: int, by_scores: bool) -> None:
        super().__init__()
        self.decisions, self.by_scores = decisions, by_scores
        pairs = np.array(list(combinations(range(classes), 2)))
        for name, of in (("first", pairs[:, 0]), ("second", pairs[:, 1])):
            self.register_buffer(name, torch.from_numpy(np.eye(classes, dtype=np.float32)[of]))

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (rows, classes), labels (rows,)."""
        decisions = self.decisions(rows)
        for_first = (decisions > 0).float()
        votes = for_first @ self.first + (1.0 - for_first) @ self.second
        total = decisions @ (self.first - self.second)
        scores = votes + total / (3.0 * (total.abs() + 1.0))
        return scores, (scores if self.by_scores else votes).argmax(1)


class Sides(nn.Module):
    """Two classes: both columns of the decision value, and the second class where it is not negative."""

    def __init__(self, decisions: nn.Module) -> None:
        super().__init__()
        self.decisions, self.both = decisions, TwoColumns()

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (rows, 2), labels (rows,)."""
        decision = self.decisions(rows)
        return self.both(decision), (decision >= 0)[:, 0].long()


def machine(estimator: Any) -> nn.Module:
    """Scores and labels of a classifier, the value of a regressor."""
    if isinstance(estimator, SVR):
        return _decisions(estimator, estimator.dual_coef_)
    classes = len(estimator.classes_)
    if classes == 2:
        return Sides(_decisions(estimator, estimator.dual_coef_))
    return Votes(_decisions(estimator, _of_pairs(estimator)), classes, by_scores=estimator.break_ties)


def _decisions(estimator: Any, weights: Array) -> nn.Module:
    """Decision values: (rows, weights' rows). A linear kernel needs no support vectors any more."""
    vectors, gamma = estimator.support_vectors_, float(estimator._gamma)
    if estimator.kernel == "linear":
        return Affine(weights @ vectors, estimator.intercept_)
    if estimator.kernel == "rbf":
        return Kernels(Radial(vectors, gamma), weights, estimator.intercept_)
    if estimator.kernel == "poly":
        return Kernels(Polynomial(vectors, gamma, estimator.coef0, estimator.degree), weights, estimator.intercept_)
    product = Affine(gamma * vectors, np.full(len(vectors), float(estimator.coef0)))
    return Kernels(nn.Sequential(product, nn.Tanh()), weights, estimator.intercept_)


def _of_pairs(estimator: Any) -> Array:
    """libsvm's coefficients as a row for each pair i < j: those of i's vectors are in row j - 1, those of j's in row i."""
    ends = np.cumsum(estimator.n_support_)
    of = [slice(end - count, end) for end, count in zip(ends, estimator.n_support_, strict=True)]
    pairs = list(combinations(range(len(of)), 2))
    found = np.zeros((len(pairs), ends[-1]))
    for row, (i, j) in enumerate(pairs):
        found[row, of[i]] = estimator.dual_coef_[j - 1, of[i]]
        found[row, of[j]] = estimator.dual_coef_[i, of[j]]
    return found
