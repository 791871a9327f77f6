"""Trees and forests: all trees of a forest walk together from node to node, looking up what to compare at each level.

This is the "tree traversal" of Nakandala et al. 2020 (arXiv:2010.04804, section 4.1). Tables grow with the nodes: no matrices of
nodes by leaves as in their GEMM strategy, of which a deep forest would fill memory; and an example costs a step a level in each tree,
where deciding every node at once would cost all nodes: 100 trees took 77 ms for 1,000 rows that way, and 28 ms this way.
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
        first_columns, first_limits, first_below, first_above: the same of each tree's root, which leads to itself where it is a leaf.
        leaves: values of each leaf.
    """

    columns: torch.Tensor
    limits: torch.Tensor
    below: torch.Tensor
    above: torch.Tensor
    first_columns: torch.Tensor
    first_limits: torch.Tensor
    first_below: torch.Tensor
    first_above: torch.Tensor
    last: torch.Tensor

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        trees = members(exact(estimator))
        self.inner = sum(int((one.children_left >= 0).sum()) for one in trees)
        parts, nodes, leaves = [], 0, 0
        for tree in trees:
            parts.append(_numbered(tree, nodes, self.inner + leaves))
            here = int((tree.children_left >= 0).sum())
            nodes, leaves = nodes + here, leaves + tree.node_count - here
        tables = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
        self.leaves = Leaves(tables.pop("leaves"))
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table))
        self.register_buffer("last", torch.tensor(self.inner - 1))
        self.trees, self.values = len(trees), self.leaves.values.shape[1]
        self.depth = max(one.max_depth for one in trees)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Means of the leaves' values (rows, values)."""
        low = rows.index_select(1, self.first_columns) <= self.first_limits
        place = torch.where(low, self.first_below, self.first_above).reshape(-1)
        for _ in range(self.depth - 1):
            place = torch.where(place > self.last, place, self._next(rows, place))  # leaves stay
        reached: torch.Tensor = self.leaves(place - self.inner)
        return reached.reshape(-1, self.trees, self.values).mean(1)

    def _next(self, rows: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """The node behind each inner node (rows * trees); behind a leaf any."""
        nodes = torch.minimum(place, self.last)
        columns, limits, below, above = (one.index_select(0, nodes) for one in (self.columns, self.limits, self.below, self.above))
        values = torch.gather(rows, 1, columns.reshape(-1, self.trees)).reshape(-1)
        return torch.where(values <= limits, below, above)


def _numbered(tree: Any, first_inner: int, first_leaf: int) -> dict[str, Array]:
    """The tables of one tree, its nodes numbered on from those of the trees before it."""
    inner, itself = tree.children_left >= 0, np.arange(tree.node_count)
    number = np.where(inner, first_inner + np.cumsum(inner) - 1, first_leaf + np.cumsum(~inner) - 1)
    nodes = {
        "columns": np.maximum(tree.feature, 0).astype(np.int64),
        "limits": tree.threshold.astype(np.float32),
        "below": number[np.where(inner, tree.children_left, itself)],
        "above": number[np.where(inner, tree.children_right, itself)],
    }
    roots = {f"first_{name}": one[:1] for name, one in nodes.items()}
    leaves = tree.value[~inner][:, 0, :].astype(np.float32)
    return {name: one[inner] for name, one in nodes.items()} | roots | {"leaves": leaves}
