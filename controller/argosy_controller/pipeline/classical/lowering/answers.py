"""From what a family computes to what is answered: a label beside the first output, two columns for two classes."""

from __future__ import annotations

import torch
from torch import nn

from argosy_controller.pipeline.task import Array


def of(scorer: nn.Module, classifies: bool) -> nn.Module:
    """The scorer with the label of its largest column, if there are classes."""
    return Labelled(scorer) if classifies else scorer


class Labelled(nn.Module):
    """A scorer (rows, classes) and the index of each row's largest score."""

    def __init__(self, scorer: nn.Module) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and labels."""
        scores = self.scorer(rows)
        return scores, scores.argmax(1)


class TwoColumns(nn.Module):
    """A decision value d of two classes (rows, 1) as (-d, d)."""

    def forward(self, decision: torch.Tensor) -> torch.Tensor:
        """Both columns."""
        return torch.cat([-decision, decision], 1)


class Affine(nn.Linear):
    """x @ weight.T + bias, with numbers that scikit-learn learnt."""

    def __init__(self, weight: Array, bias: Array) -> None:
        """Takes weight (outputs, inputs) and bias (outputs,), float64."""
        super().__init__(weight.shape[1], weight.shape[0])
        self.weight = nn.Parameter(torch.from_numpy(weight.astype("float32")), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(bias.astype("float32")), requires_grad=False)


def logits(weight: Array, bias: Array) -> Affine:
    """What a softmax is taken of, less what all classes have in common: that changes no probability, and leaves small numbers."""
    return Affine(weight - weight.mean(0), bias - bias.mean())
