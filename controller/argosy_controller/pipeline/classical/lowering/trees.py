"""Trees and forests: every node is decided at once, then each tree walks to its leaf through a table of next nodes.

All trees of a forest walk together, one gather a level (after the "perfect tree traversal" of Nakandala et al. 2020,
arXiv:2010.04804, section 4.1, with all comparisons taken out of the walk). Tables grow with the nodes: no matrices of nodes by
leaves as in their GEMM strategy, of which a deep forest would fill memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from argosy_controller.pipeline.classical.families import members
from argosy_controller.pipeline.classical.thresholds import exact
from argosy_controller.pipeline.task import Array


class Leaves(nn.Module):
    """The values of leaves (leaves, values)."""

    values: torch.Tensor

    def __init__(self, values: Array) -> None:
        super().__init__()
        self.register_buffer("values", torch.from_numpy(values))

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Values (places, values)."""
        return self.values.index_select(0, places)


class Forest(nn.Module):
    """Trees whose leaves' values are averaged.

    Attributes:
        columns, limits, below, above: of each inner node: the column looked at, its threshold, and the next node when the value
            is not above it, and when it is. Inner nodes of all trees are numbered first, then the leaves.
        roots: first node of each tree.
        leaves: values of each leaf.
    """

    columns: torch.Tensor
    limits: torch.Tensor
    below: torch.Tensor
    above: torch.Tensor
    roots: torch.Tensor
    stay: torch.Tensor

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        trees = members(exact(estimator))
        inner = sum(int((one.children_left >= 0).sum()) for one in trees)
        parts, nodes, leaves = [], 0, 0
        for tree in trees:
            parts.append(_numbered(tree, nodes, inner + leaves))
            here = int((tree.children_left >= 0).sum())
            nodes, leaves = nodes + here, leaves + tree.node_count - here
        for name in ("columns", "limits", "below", "above", "roots"):
            self.register_buffer(name, torch.from_numpy(np.concatenate([one[name] for one in parts])))
        self.leaves = Leaves(np.concatenate([one["leaves"] for one in parts]))
        self.register_buffer("stay", torch.arange(inner, inner + leaves)[None])
        self.inner, self.trees, self.values = inner, len(trees), self.leaves.values.shape[1]
        self.depth = max(one.max_depth for one in trees)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Means of the leaves' values (rows, values)."""
        low = rows.index_select(1, self.columns) <= self.limits
        stay = torch.where(rows[:, :1] <= 0, self.stay, self.stay)  # broadcast to all rows: a converter refuses expand()
        following = torch.cat([torch.where(low, self.below, self.above), stay], 1)
        place = following.index_select(1, self.roots)
        for _ in range(self.depth - 1):
            place = torch.gather(following, 1, place)
        reached: torch.Tensor = self.leaves((place - self.inner).reshape(-1))
        return reached.reshape(-1, self.trees, self.values).mean(1)


def _numbered(tree: Any, first_inner: int, first_leaf: int) -> dict[str, Array]:
    """The tables of one tree, its nodes numbered on from those of the trees before it."""
    inner = tree.children_left >= 0
    number = np.where(inner, first_inner + np.cumsum(inner) - 1, first_leaf + np.cumsum(~inner) - 1)
    return {
        "columns": tree.feature[inner].astype(np.int64),
        "limits": tree.threshold[inner].astype(np.float32),
        "below": number[tree.children_left[inner]],
        "above": number[tree.children_right[inner]],
        "roots": number[:1],
        "leaves": tree.value[~inner][:, 0, :].astype(np.float32),
    }
