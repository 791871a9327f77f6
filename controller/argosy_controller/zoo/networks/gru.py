"""A text to another of fixed length by two GRUs (Cho et al. 2014, arXiv:1406.1078), every step and gate written out.

Converters have no loops then, and no operator of their own for a GRU, which not every format has.
"""

from __future__ import annotations

import torch
from torch import nn


class Gates(nn.Module):
    """One step of a GRU; weights lie as in torch.nn.GRUCell: reset, update, new."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.of_input, self.of_state = nn.Linear(size, 3 * hidden), nn.Linear(hidden, 3 * hidden)

    def forward(self, seen: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The next state.

        Args:
            seen: `of_input` of this step's input, (batch, 3 * hidden).
            state: (batch, hidden).
        """
        reset, update, new = seen.chunk(3, -1)
        reset_too, update_too, new_too = self.of_state(state).chunk(3, -1)
        update = torch.sigmoid(update + update_too)
        fresh = torch.tanh(new + torch.sigmoid(reset + reset_too) * new_too)
        return fresh + update * (state - fresh)


class Translator(nn.Module):
    """Reads a text letter by letter, then writes `length` letters, each time taking the likeliest (greedy decoding).

    For each letter it looks at what it read: dot attention (Luong et al. 2015, arXiv:1508.04025, section 3.1).
    """

    def __init__(self, letters: int, answers: int, length: int, size: int, hidden: int) -> None:
        super().__init__()
        self.letters, self.reader = nn.Embedding(letters, size), Gates(size, hidden)
        self.answers, self.writer = nn.Embedding(answers + 1, size), Gates(size, hidden)
        self.joined, self.out = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, answers)
        self.length = length

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Letters (batch, places), integers, to logits (batch, length, answers)."""
        read = self._read(text)
        state, written = read[:, -1], []
        before = self.answers(torch.full_like(text[:, 0], self.out.out_features))
        for _ in range(self.length):
            state = self.writer(self.writer.of_input(before), state)
            shares = torch.softmax(read @ state[:, :, None], dim=1)
            looked_at = (shares * read).sum(dim=1)
            written.append(self.out(torch.tanh(self.joined(torch.cat([state, looked_at], dim=-1)))))
            before = self._taken(written[-1])
        return torch.stack(written, dim=1)

    def _read(self, text: torch.Tensor) -> torch.Tensor:
        """The reader's state after each letter, (batch, places, hidden)."""
        seen = self.reader.of_input(self.letters(text))
        state, states = torch.zeros_like(seen[:, 0, : self.joined.out_features]), []
        for place in range(text.shape[1]):
            state = self.reader(seen[:, place], state)
            states.append(state)
        return torch.stack(states, dim=1)

    def _taken(self, logits: torch.Tensor) -> torch.Tensor:
        """What the writer sees of its last letter: the likeliest; in training all by their shares, which has a derivative."""
        if self.training:
            return torch.softmax(logits, -1) @ self.answers.weight[:-1]
        return self.answers(logits.argmax(-1))  # type: ignore[no-any-return]
