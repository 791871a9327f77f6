"""Cost-complexity pruning of fitted decision trees, from what a tree knows of itself: no training data, no second training.

Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, chapter 3: the branch that saves the least
impurity for each leaf that it costs goes first. `risk` of a node is its impurity times its share of the training weight.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NO_CHILD, _NO_FEATURE = -1, -2


def collapse_alphas(tree: Any) -> Floats:
    """For each node of a `sklearn.tree` Tree the alpha from which on it is a leaf; infinite for what is one already.

    A node below one that became a leaf before it keeps infinity: it is gone by then.
    """
    links = _Links.of(tree)
    waiting = [(links.price(node), node) for node in np.flatnonzero(tree.children_left != _NO_CHILD).tolist()]
    heapq.heapify(waiting)
    so_far = 0.0
    while waiting:
        price, node = heapq.heappop(waiting)
        if links.gone[node] or price != links.price(node):  # a later price of the same node is in the heap
            continue
        so_far = max(so_far, price)
        links.collapse(node, so_far)
        for above in links.ancestors(node):
            heapq.heappush(waiting, (links.price(above), above))
    return links.alphas


@dataclass
class _Links:
    """A tree while its branches go: for each node the risk of itself and of the leaves below it, and their number."""

    left: NDArray[Any]
    right: NDArray[Any]
    parent: NDArray[Any]
    risk: Floats
    below: Floats
    leaves: NDArray[Any]
    alphas: Floats = field(init=False)
    gone: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.alphas = np.full(len(self.risk), np.inf)
        self.gone = np.zeros(len(self.risk), dtype=bool)

    @classmethod
    def of(cls, tree: Any) -> _Links:
        left, right = tree.children_left, tree.children_right
        parent = np.full(tree.node_count, _NO_CHILD)
        risk = tree.impurity * tree.weighted_n_node_samples / tree.weighted_n_node_samples[0]
        below, leaves = risk.copy(), np.ones(tree.node_count, dtype=np.int64)
        for node in range(tree.node_count - 1, -1, -1):  # children have larger numbers than their parent
            if left[node] != _NO_CHILD:
                pair = [left[node], right[node]]
                parent[pair] = node
                below[node], leaves[node] = below[pair].sum(), leaves[pair].sum()
        return cls(left, right, parent, risk, below, leaves)

    def price(self, node: int) -> float:
        """The risk that a branch saves for each leaf that it has beyond one."""
        return float((self.risk[node] - self.below[node]) / max(self.leaves[node] - 1, 1))

    def collapse(self, node: int, alpha: float) -> None:
        self.alphas[node] = alpha
        more_risk, fewer = self.risk[node] - self.below[node], self.leaves[node] - 1
        for above in [node, *self.ancestors(node)]:
            self.below[above] += more_risk
            self.leaves[above] -= fewer
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if not self.gone[one]:
                self.gone[one] = True
                waiting += [child for child in (self.left[one], self.right[one]) if child != _NO_CHILD]

    def ancestors(self, node: int) -> list[int]:
        found = []
        while (node := int(self.parent[node])) != _NO_CHILD:
            found.append(node)
        return found


def without_branches(tree: Any, leaf: NDArray[np.bool_], thresholds: Floats | None = None) -> Any:
    """A new Tree in which the nodes that `leaf` marks are leaves, with the answers that they had as nodes.

    Args:
        thresholds: of the old tree's nodes, in place of its own.
    """
    kind, arguments, state = tree.__reduce__()
    ends = leaf | (tree.children_left == _NO_CHILD)
    kept, depth = _reached(tree, ends)
    number = np.full(tree.node_count, _NO_CHILD)
    number[kept] = np.arange(len(kept))
    nodes = state["nodes"][kept].copy()
    if thresholds is not None:
        nodes["threshold"] = thresholds[kept]
    for side in ("left_child", "right_child"):
        nodes[side] = np.where(ends[kept], _NO_CHILD, number[nodes[side]])
    nodes["feature"][ends[kept]], nodes["threshold"][ends[kept]] = _NO_FEATURE, _NO_FEATURE
    result = kind(*arguments)
    result.__setstate__(
        state | {"max_depth": depth, "node_count": len(kept), "nodes": nodes, "values": np.ascontiguousarray(state["values"][kept])}
    )
    return result


def _reached(tree: Any, ends: NDArray[np.bool_]) -> tuple[list[int], int]:
    """Numbers of the nodes that are left, in the old order, and the depth of the deepest."""
    waiting, found, deepest = [(0, 0)], [], 0
    while waiting:
        node, depth = waiting.pop()
        found.append(node)
        deepest = max(deepest, depth)
        if not ends[node]:
            waiting += [(int(tree.children_right[node]), depth + 1), (int(tree.children_left[node]), depth + 1)]
    return sorted(found), deepest
