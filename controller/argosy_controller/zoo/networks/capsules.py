"""Capsules with dynamic routing (Sabour, Frosst and Hinton 2017, arXiv:1710.09829), smaller than theirs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import relu

#: Keeps the length of a zero vector from having no derivative.
_TINY = 1e-8


def squash(s: torch.Tensor) -> torch.Tensor:
    """Shortens vectors, which lie in the last dimension, to a length below 1 (equation 1)."""
    square = (s * s).sum(-1, keepdim=True)
    return s * torch.sqrt(square + _TINY) / (1 + square)


def route(votes: torch.Tensor, rounds: int) -> torch.Tensor:
    """Routing by agreement (procedure 1).

    Args:
        votes: what capsule i below says of capsule j above, (batch, i, j, size).

    Returns:
        The capsules above, (batch, j, size).
    """
    logits = torch.zeros_like(votes[..., :1])
    above = logits
    for number in range(rounds):
        if number:
            logits = logits + (votes * above).sum(-1, keepdim=True)
        above = squash((torch.softmax(logits, dim=2) * votes).sum(dim=1, keepdim=True))
    return above.squeeze(1)


class CapsNet(nn.Module):
    """Two convolutions, capsules of `inner` numbers at 6 x 6 places, and one capsule of `outer` numbers for each class.

    The answer is the length of each class's capsule, in 0 to 1.
    """

    def __init__(self, channels: int, kinds: int, inner: int, outer: int, classes: int, rounds: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 9)
        self.primary = nn.Conv2d(channels, kinds * inner, 9, 2)
        self.vote = nn.Parameter(torch.randn(kinds * 36, inner, classes * outer) * 0.1)
        self.inner, self.classes, self.rounds = inner, classes, rounds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, 1, 28, 28) to lengths (batch, classes)."""
        below = self.primary(relu(self.conv(images))).flatten(2).unflatten(1, (-1, self.inner))  # batch, kinds, inner, places
        below = squash(below.transpose(2, 3).flatten(1, 2))  # batch, capsules, inner
        votes = (below.transpose(0, 1) @ self.vote).transpose(0, 1).unflatten(2, (self.classes, -1))  # type: ignore[no-untyped-call]
        above = route(votes, self.rounds)
        return torch.sqrt((above * above).sum(-1) + _TINY)


def margin_loss(lengths: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Equation 4: the right class's capsule at least 0.9 long, the others at most 0.1, these at half the weight."""
    right = nn.functional.one_hot(targets.long(), lengths.shape[1])
    return (right * relu(0.9 - lengths) ** 2 + 0.5 * (1 - right) * relu(lengths - 0.1) ** 2).sum(-1).mean()
