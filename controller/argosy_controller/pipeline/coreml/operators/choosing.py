"""Operators that reduce, sort, and choose or place numbers by index. Semantics as coremltools documents them for iOS 15 and 16."""

from __future__ import annotations

from collections.abc import Callable

import torch

from argosy_controller.pipeline.coreml.operators.given import Answer, Given, Kernel, bounded, only

Reduce = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _reduction(reduce: Reduce) -> Kernel:
    def kernel(given: Given) -> torch.Tensor:
        x = given.tensor("x")
        return reduce(x, given.integers("axes", range(x.dim())), given.flag("keep_dims"))

    return kernel


def _product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted((one % x.dim() for one in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _argmax(given: Given) -> torch.Tensor:
    return given.tensor("x").argmax(given.integer("axis", -1), given.flag("keep_dims"))


def _argmin(given: Given) -> torch.Tensor:
    return given.tensor("x").argmin(given.integer("axis", -1), given.flag("keep_dims"))


def _index(given: Given, size: int) -> torch.Tensor:
    """Indices from 0; those below count from the end."""
    found = given.tensor("indices").long()
    return torch.where(found < 0, found + size, found)


def _gather(given: Given) -> torch.Tensor:
    only("batch_dims", given.integer("batch_dims", 0), 0)
    x = given.tensor("x")
    axis = given.integer("axis", 0) % x.dim()
    index = _index(given, x.shape[axis])
    return x.index_select(axis, index.reshape(-1)).reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _gather_along_axis(given: Given) -> torch.Tensor:
    x, axis = given.tensor("x"), given.integer("axis", 0)
    return torch.take_along_dim(x, _index(given, x.shape[axis]), axis)


def _gather_nd(given: Given) -> torch.Tensor:
    """The last axis of the indices holds places in the first axes."""
    only("batch_dims", given.integer("batch_dims", 0), 0)
    return given.tensor("x")[tuple(given.tensor("indices").long().unbind(-1))]


_MODES = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scatter_along_axis(given: Given) -> torch.Tensor:
    data, axis, mode = given.tensor("data"), given.integer("axis", 0), given.text("mode", "add")
    index, updates = _index(given, data.shape[axis]), given.tensor("updates")
    only("mode", mode, "update", *_MODES)
    if mode == "update":
        return data.scatter(axis, index, updates)
    return data.scatter_reduce(axis, index, updates, _MODES[mode])


def _scatter(given: Given) -> torch.Tensor:
    """Whole slices along an axis."""
    data, mode = given.tensor("data"), given.text("mode", "add")
    axis = given.integer("axis", 0) % data.dim()
    only("mode", mode, "update", "add")
    index, updates = _index(given, data.shape[axis]).reshape(-1), given.tensor("updates")
    updates = updates.reshape([*data.shape[:axis], len(index), *data.shape[axis + 1 :]])
    return data.index_copy(axis, index, updates) if mode == "update" else data.index_add(axis, index, updates)


def _scatter_nd(given: Given) -> torch.Tensor:
    data, mode = given.tensor("data"), given.text("mode", "add")
    only("mode", mode, "update", "add")
    places = tuple(given.tensor("indices").long().unbind(-1))
    return data.index_put(places, given.tensor("updates"), accumulate=mode == "add")


def _topk(given: Given) -> Answer:
    x, axis = given.tensor("x"), given.integer("axis", -1)
    k = given.integer("k", 1)
    found = x.topk(x.shape[axis] if k == -1 else k, axis, largest=not given.flag("ascending"), sorted=True)
    return (found.values, found.indices)[: given.results]


def _argsort(given: Given) -> torch.Tensor:
    return given.tensor("x").argsort(stable=True, dim=given.integer("axis", -1), descending=not given.flag("ascending"))


def _cumsum(given: Given) -> torch.Tensor:
    x, axis = given.tensor("x"), given.integer("axis", 0)
    x = x.flip(axis) if given.flag("reverse") else x
    total = x.cumsum(axis)
    total = total - x if given.flag("exclusive") else total
    return total.flip(axis) if given.flag("reverse") else total


def _one_hot(given: Given) -> torch.Tensor:
    size, axis = given.integer("one_hot_vector_size", 0), given.integer("axis", -1)
    index = _index(given, size)
    bounded([*index.shape, size])
    axis = axis % (index.dim() + 1)
    hot = index.unsqueeze(axis) == torch.arange(size).reshape([-1 if one == axis else 1 for one in range(index.dim() + 1)])
    return torch.where(hot, given.number("on_value", 1.0), given.number("off_value", 0.0))


CHOOSING: dict[str, Kernel] = {
    "reduce_sum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "reduce_mean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_max": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "reduce_min": _reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "reduce_prod": _reduction(_product),
    "reduce_l1_norm": _reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "reduce_sum_square": _reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "reduce_log_sum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "reduce_log_sum_exp": _reduction(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "reduce_argmax": _argmax,
    "reduce_argmin": _argmin,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_nd": _scatter_nd,
    "topk": _topk,
    "argsort": _argsort,
    "cumsum": _cumsum,
    "one_hot": _one_hot,
    "non_zero": lambda given: given.tensor("x").nonzero(),
}
