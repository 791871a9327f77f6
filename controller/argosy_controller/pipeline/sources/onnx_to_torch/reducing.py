"""Reducing axes: sums, means, extremes and their places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from argosy_controller.pipeline.sources.onnx_to_torch.building import At, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Unsupported, Value


def reducing(function: Callable[..., Any], as_input: int = 18) -> Callable[..., Value]:
    """A reduction. `as_input`: the first opset whose axes are an input, no attribute."""

    def apply(at: At, x: Value, axes: Value | None = None) -> Value:
        wanted = at.ints(axes, "axes") if axes is not None else at.get("axes") if at.opset < as_input else None
        if not wanted:
            if at.get("noop_with_empty_axes", 0):
                return x
            wanted = list(range(rank(x)))
        result: Value = at.call(function, x, [one % max(1, rank(x)) for one in wanted], bool(at.get("keepdims", 1)))
        return result

    return apply


def product(at: At, x: Value, axes: Value | None = None) -> Value:
    """ReduceProd, axis after axis."""
    wanted = at.ints(axes, "axes") if axes is not None else at.get("axes") or list(range(rank(x)))
    for axis in sorted((one % max(1, rank(x)) for one in wanted), reverse=True):
        x = at.call(torch.prod, x, axis, bool(at.get("keepdims", 1)))
    return x


def composed(before: Callable[..., Any] | None, after: Callable[..., Any] | None) -> Callable[..., Value]:
    """A sum of something, and something of that."""
    summed = reducing(torch.sum)

    def apply(at: At, x: Value, axes: Value | None = None) -> Value:
        total = summed(at, x if before is None else at.call(before, x), axes)
        result: Value = total if after is None else at.call(after, total)
        return result

    return apply


def place(function: Callable[..., Any]) -> Callable[..., Value]:
    """ArgMax and ArgMin; of equals the first."""

    def apply(at: At, x: Value) -> Value:
        at.plain(select_last_index=0)
        result: Value = at.call(function, x, at.get("axis", 0), bool(at.get("keepdims", 1)))
        return result

    return apply


def top(at: At, x: Value, count: Value | None = None) -> tuple[Value, Value]:
    """TopK."""
    k = at.ints(count, "counts")[0] if count is not None else at.get("k")
    if k is None:
        raise Unsupported("says not how many")
    several = at.call(torch.topk, x, k, at.get("axis", -1), bool(at.get("largest", 1)), True)
    return at.builder.part(several, 0), at.builder.part(several, 1)


OPERATORS = {
    "ReduceMean": reducing(torch.mean),
    "ReduceSum": reducing(torch.sum, as_input=13),
    "ReduceMax": reducing(torch.amax),
    "ReduceMin": reducing(torch.amin),
    "ReduceProd": product,
    "ReduceL1": composed(torch.abs, None),
    "ReduceL2": composed(torch.square, torch.sqrt),
    "ReduceSumSquare": composed(torch.square, None),
    "ReduceLogSum": composed(None, torch.log),
    "ReduceLogSumExp": reducing(torch.logsumexp),
    "ArgMax": place(torch.argmax),
    "ArgMin": place(torch.argmin),
    "TopK": top,
}
