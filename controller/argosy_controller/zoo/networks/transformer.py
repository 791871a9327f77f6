"""An encoder of attention layers (Vaswani et al. 2017, arXiv:1706.03762), written out in operators that every format has."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import relu

#: What hides a place: its share becomes exp(-20), nothing in single precision, and 8 bits can still hold the numbers beside it.
FAR = 20.0


class Attention(nn.Module):
    """Self-attention with several heads (section 3.2); places whose mask is 0 are not looked at."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.heads, self.scale = heads, (width // heads) ** -0.5

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call,no-any-return]

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Places (batch, length, width) with their mask (batch, length)."""
        query, key, value = self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))
        likeness = query @ key.transpose(2, 3) * self.scale + ((mask - 1) * FAR)[:, None, None]
        seen = torch.softmax(likeness, dim=-1) @ value
        return self.out(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and two linear layers, each with a way past it and a norm before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.norm1, self.norm2 = Attention(width, heads), nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As the attention."""
        x = x + self.attention(self.norm1(x), mask)
        return x + self.narrow(relu(self.wide(self.norm2(x))))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Tokens (batch, length), integers, and their mask (batch, length) to logits (batch, classes)."""

    def __init__(self, tokens: int, length: int, width: int, heads: int, depth: int, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Parameter(torch.randn(length, width) * 0.1)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm, self.classes = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The first place decides; it sees all that the mask shows."""
        x = self.tokens(tokens) + self.places
        for layer in self.layers:
            x = layer(x, mask)
        return self.classes(self.norm(x[:, 0]))  # type: ignore[no-any-return]
