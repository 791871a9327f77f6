"""Picking entries: slices, gathering, scattering, masks."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.nn import functional

from argosy_controller.pipeline.sources.onnx_to_torch.building import At, dtype, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Live, Size, Sizes, Undecided, Unsupported, Value, sizes_value

_END = (1 << 31) - 1


def cut(
    at: At, x: Value, starts: Value | None = None, ends: Value | None = None, axes: Value | None = None, steps: Value | None = None
) -> Value:
    """Slice: inputs from opset 10 on, attributes before."""
    if starts is None or ends is None:
        first, last = tuple(at.get("starts")), tuple(at.get("ends"))
        over = list(at.get("axes", range(len(first))))
    else:
        first, last = at.sizes(starts, "starts"), at.sizes(ends, "ends")
        over = at.ints(axes, "axes") if axes is not None else list(range(len(first)))
    by = at.ints(steps, "steps") if steps is not None else [1] * len(first)
    for axis, start, end, step in zip(over, first, last, by, strict=True):
        x = _cut(at, x, axis % max(1, rank(x)), start, end, step)
    return x


def _cut(at: At, x: Value, axis: int, start: Size, end: Size, step: int) -> Value:
    if isinstance(x, Sizes):
        known = at.ints(sizes_value((start, end)), "ends")
        return sizes_value(x.items[_range(known[0], known[1], step, len(x.items))])
    length = at.builder.size(x, axis)
    if step < 0:
        if not all(isinstance(one, int) for one in (start, end, length)):
            raise Undecided("takes the batch from behind")
        picked = list(range(int(length))[_range(int(start), int(end), step, int(length))])  # type: ignore[arg-type]
        result: Value = at.call(torch.index_select, x, axis, Const(torch.tensor(picked, dtype=torch.int64)))
        return result
    stop = None if isinstance(end, int) and end >= (length if isinstance(length, int) else _END) else end
    if stop is None and step == 1 and isinstance(start, int) and start == 0:
        return x
    places = (*(slice(None) for _ in range(axis)), slice(start, stop, step))
    result = at.builder.call(operator.getitem, x, places)
    return result


def _range(start: int, end: int, step: int, length: int) -> slice:
    """ONNX's slice as Python's: an end far before the first entry takes that too, when going backwards."""
    if step < 0 and end < -length:
        return slice(start, None, step)
    return slice(start, end, step)


def gather(at: At, x: Value, index: Value) -> Value:
    """Gather along an axis; numbers below 0 count from the end. A table looked up by integers is an embedding."""
    axis = at.get("axis", 0) % max(1, rank(x))
    if isinstance(x, Sizes):
        picked = tuple(x.items[one] for one in at.ints(index, "places"))
        return sizes_value(picked, scalar=rank(index) == 0)
    index = at.builder.materialised(index)
    if rank(index) == 0 and isinstance(index, Const):
        result: Value = at.call(torch.select, x, axis, int(index.tensor))
        return result
    places = _not_negative(at, index, at.builder.size(x, axis))
    if rank(x) == 2 and axis == 0 and isinstance(x, Const) and dtype(x).is_floating_point:
        result = at.call(functional.embedding, places, x)
        return result
    if rank(index) == 1:
        result = at.call(torch.index_select, x, axis, places)
        return result
    flat = at.call(torch.index_select, x, axis, at.sized(torch.reshape, places, (-1,)))
    have = at.shape(x)
    result = at.sized(torch.reshape, flat, (*have[:axis], *at.shape(index), *have[axis + 1 :]))
    return result


def _not_negative(at: At, index: Const | Live, length: Size) -> Const | Live:
    if isinstance(index, Const):
        if bool((index.tensor < 0).any()):
            if not isinstance(length, int):
                raise Undecided("counts from the end of the batch")
            return Const(torch.where(index.tensor < 0, index.tensor + length, index.tensor).to(torch.int64))
        return index if dtype(index) == torch.int64 else Const(index.tensor.to(torch.int64))
    found: Live = index if dtype(index) in (torch.int64, torch.int32) else at.call(torch.Tensor.to, index, torch.int64)
    return found


def gather_elements(at: At, x: Value, index: Value) -> Value:
    """GatherElements."""
    axis = at.get("axis", 0) % rank(x)
    places = _not_negative(at, at.builder.materialised(index), at.builder.size(x, axis))
    result: Value = at.call(torch.gather, x, axis, places)
    return result


def gather_nd(at: At, x: Value, index: Value) -> Value:
    """GatherND with known places and no batch."""
    at.plain(batch_dims=0)
    if not isinstance(index, Const):
        raise Unsupported("picks by places that the model's inputs decide")
    places = tuple(Const(one.contiguous()) for one in index.tensor.unbind(-1))
    result: Value = at.call(operator.getitem, x, places)
    return result


def scatter_elements(at: At, x: Value, index: Value, updates: Value) -> Value:
    """ScatterElements that replaces."""
    at.plain(reduction="none")
    axis = at.get("axis", 0) % rank(x)
    places = _not_negative(at, at.builder.materialised(index), at.builder.size(x, axis))
    result: Value = at.call(torch.scatter, x, axis, places, updates)
    return result


def triangle(at: At, x: Value, k: Value | None = None) -> Value:
    """Trilu."""
    diagonal = at.ints(k, "diagonals")[0] if k is not None else 0
    result: Value = at.call(torch.triu if at.get("upper", 1) else torch.tril, x, diagonal)
    return result


def one_hot(at: At, index: Value, depth: Value, values: Value) -> Value:
    """OneHot: by comparing with each place; numbers below 0 count from the end, others outside give none."""
    count = at.ints(depth, "depths")[0]
    axis = at.get("axis", -1) % (rank(index) + 1)
    places = Const(torch.arange(count, dtype=dtype(index)).reshape(-1, *[1] * (rank(index) - axis)))
    wrapped = at.call(torch.where, at.call(torch.lt, index, 0), at.call(torch.add, index, count), index)
    there = at.call(torch.eq, at.call(torch.unsqueeze, wrapped, axis), places)
    if not isinstance(values, Const):
        raise Unsupported("has values that the model's inputs decide")
    off, on = (Const(one) for one in values.tensor)
    result: Value = at.call(torch.where, there, on, off)
    return result


def cumulative(at: At, x: Value, axis: Value) -> Value:
    """CumSum."""
    at.plain(exclusive=0, reverse=0)
    result: Value = at.call(torch.cumsum, x, at.ints(axis, "axes")[0])
    return result


OPERATORS: dict[str, Any] = {
    "Slice": cut,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterElements": scatter_elements,
    "Trilu": triangle,
    "OneHot": one_hot,
    "CumSum": cumulative,
}
