"""Shapes: asking for them, changing them, making tensors of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from argosy_controller.pipeline.sources.onnx_to_torch.building import MOST_NUMBERS, At, dtype, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Size, Sizes, Undecided, Unsupported, Value, sizes_value


def shape(at: At, x: Value) -> Value:
    """Shape, or a part of it (opset 15)."""
    sizes = at.shape(x)
    return sizes_value(sizes[at.get("start", 0) : at.get("end", len(sizes))])


def size(at: At, x: Value) -> Value:
    """Size: how many numbers."""
    return sizes_value((_product(at, at.shape(x)),), scalar=True)


def _product(at: At, sizes: tuple[Size, ...]) -> Size:
    if not all(isinstance(one, int) for one in sizes):
        raise Undecided("counts the numbers of a batch")
    return math.prod(one for one in sizes if isinstance(one, int))


def reshape(at: At, x: Value, to: Value) -> Value:
    """Reshape: a 0 takes the size that is there, unless allowzero."""
    sizes = at.sizes(to, "shapes")
    if isinstance(x, Sizes):
        return Sizes(x.items, scalar=len(sizes) == 0)
    if not at.get("allowzero", 0):
        sizes = tuple(at.builder.size(x, i) if isinstance(one, int) and one == 0 else one for i, one in enumerate(sizes))
    result: Value = at.sized(torch.reshape, x, sizes)
    return result


def flatten(at: At, x: Value) -> Value:
    """Flatten to two dimensions."""
    axis = at.get("axis", 1)
    axis = axis + rank(x) if axis < 0 else axis
    if axis == 1:
        result: Value = at.call(torch.flatten, x, 1) if rank(x) > 1 else at.call(torch.unsqueeze, x, 1)
        return result
    sizes = at.shape(x)
    return at.sized(torch.reshape, x, (_product(at, sizes[:axis]), -1))  # type: ignore[no-any-return]


def _axes(at: At, given: Value | None) -> list[int] | None:
    """From an input, or from the attribute of older operator sets."""
    if given is not None:
        return at.ints(given, "axes")
    axes = at.get("axes")
    return None if axes is None else [int(one) for one in axes]


def squeeze(at: At, x: Value, axes: Value | None = None) -> Value:
    """Squeeze: without axes all of size 1."""
    wanted = _axes(at, axes)
    if isinstance(x, Sizes):
        return Sizes(x.items, scalar=True)
    if wanted is None:
        wanted = [i for i, one in enumerate(at.shape(x)) if isinstance(one, int) and one == 1]
    for axis in sorted((one % rank(x) for one in wanted), reverse=True):
        if at.builder.size(x, axis) != 1:
            raise Unsupported(f"squeezes axis {axis}, whose size is not 1")
        x = at.call(torch.squeeze, x, axis)
    return x


def unsqueeze(at: At, x: Value, axes: Value | None = None) -> Value:
    """Unsqueeze."""
    wanted = _axes(at, axes) or []
    if isinstance(x, Sizes) and x.scalar and wanted in ([0], [-1]):
        return Sizes(x.items)
    whole = rank(x) + len(wanted)
    for axis in sorted(one % whole for one in wanted):
        x = at.call(torch.unsqueeze, x, axis)
    return x


def transpose(at: At, x: Value) -> Value:
    """Transpose."""
    order = list(at.get("perm", range(rank(x))[::-1]))
    result: Value = x if order == sorted(order) else at.call(torch.permute, x, order)
    return result


def concat(at: At, *inputs: Value) -> Value:
    """Concat."""
    if any(isinstance(one, Sizes) for one in inputs):
        parts = [at.sizes(one, "sizes") for one in inputs if rank(one) == 1]
        return sizes_value(tuple(one for part in parts for one in part))
    there = [one for one in inputs if rank(one) != 1 or at.builder.size(one, 0) != 0] or list(inputs[:1])
    result: Value = there[0] if len(there) == 1 else at.call(torch.cat, there, at.get("axis", 0))
    return result


def split(at: At, x: Value, lengths: Value | None = None) -> tuple[Value, ...]:
    """Split, by lengths or into equal parts."""
    axis = at.get("axis", 0) % rank(x)
    whole = at.builder.size(x, axis)
    given = at.ints(lengths, "lengths") if lengths is not None else at.get("split")
    if given is None:
        if not isinstance(whole, int):
            raise Undecided("splits the batch")
        part = math.ceil(whole / at.outputs)
        given = [min(part, whole - part * i) for i in range(at.outputs)]
    several = at.call(torch.split, x, list(given), axis)
    return tuple(at.builder.part(several, i) for i in range(len(given)))


def expand(at: At, x: Value, to: Value) -> Value:
    """Expand: sizes broadcast both ways."""
    wanted = at.sizes(to, "shapes")
    have = (1,) * (len(wanted) - rank(x)) + at.shape(x)
    wanted = (1,) * (len(have) - len(wanted)) + wanted
    sizes = tuple(there if isinstance(one, int) and one == 1 else one for one, there in zip(wanted, have, strict=True))
    _check_count(sizes)
    result: Value = x if sizes == at.shape(x) else at.sized(torch.Tensor.expand, x, sizes)
    return result


def tile(at: At, x: Value, times: Value) -> Value:
    """Tile."""
    repeats = at.ints(times, "repeats")
    _check_count((*repeats, *(one for one in at.shape(x) if isinstance(one, int))))
    result: Value = x if all(one == 1 for one in repeats) else at.call(torch.Tensor.repeat, x, repeats)
    return result


def _check_count(sizes: tuple[Size, ...]) -> None:
    count = math.prod(one for one in sizes if isinstance(one, int))
    if abs(count) > MOST_NUMBERS:
        raise Unsupported(f"makes {count} numbers, and at most {MOST_NUMBERS} are imported")


def pad(at: At, x: Value, pads: Value | None = None, value: Value | None = None, axes: Value | None = None) -> Value:
    """Pad: constant, edge or reflect; amounts are attributes before opset 11, axes an input from 18 on."""
    amounts = at.ints(pads, "pads") if pads is not None else list(at.get("pads", []))
    over = [one % rank(x) for one in at.ints(axes, "axes")] if axes is not None else list(range(rank(x)))
    before = dict(zip(over, amounts[: len(over)], strict=True))
    after = dict(zip(over, amounts[len(over) :], strict=True))
    if not any(amounts):
        return x
    _check_count(tuple(abs(one) + 1 for one in amounts))
    first = min(axis for axis in over if before[axis] or after[axis])
    ends = [one for axis in range(rank(x) - 1, first - 1, -1) for one in (before.get(axis, 0), after.get(axis, 0))]
    mode = at.get("mode", "constant")
    if mode == "constant":
        number: Any = at.get("value", 0.0) if value is None else value.tensor.item()  # type: ignore[union-attr]
        result: Value = at.call(functional.pad, x, ends, value=number)
        return result
    return _mirrored(at, x, before, after, mode)


def _mirrored(at: At, x: Value, before: dict[int, int], after: dict[int, int], mode: str) -> Value:
    """By picking entries, axis by axis: every converter knows how."""
    if mode not in ("reflect", "edge"):
        raise Unsupported(f"pads by {mode!r}, and only constant, edge and reflect convert")
    for axis in (one for one in before if before[one] or after[one]):
        length = at.builder.size(x, axis)
        if not isinstance(length, int):
            raise Undecided("pads the batch")
        places = range(-before[axis], length + after[axis])
        picked = [_reflected(one, length) if mode == "reflect" else min(max(one, 0), length - 1) for one in places]
        x = at.call(torch.index_select, x, axis, Const(torch.tensor(picked, dtype=torch.int64)))
    return x


def _reflected(place: int, length: int) -> int:
    place = abs(place) % (2 * (length - 1)) if length > 1 else 0
    return min(place, 2 * (length - 1) - place) if length > 1 else 0


def constant(at: At) -> Value:
    """Constant: a tensor, or numbers."""
    known = [name for name in ("value", "value_int", "value_ints", "value_float", "value_floats") if at.get(name) is not None]
    if not known:
        raise Unsupported("holds neither a tensor nor numbers")
    found = at.get(known[0])
    if isinstance(found, torch.Tensor):
        return Const(found)
    return Const(torch.tensor(found, dtype=torch.int64 if "int" in known[0] else torch.float32))


def constant_of_shape(at: At, to: Value) -> Value:
    """ConstantOfShape: 0 in single precision where no value is given."""
    value = at.get("value", torch.zeros(1))
    sizes = at.sizes(to, "shapes")
    _check_count(sizes)
    result: Value = at.builder.call(torch.full, sizes, value.item(), dtype=value.dtype)
    return result


def numbers(at: At, start: Value, end: Value, step: Value) -> Value:
    """Range."""
    if any(not isinstance(one, Const) for one in (start, end, step)):
        if isinstance(end, Sizes) and isinstance(start, Const) and isinstance(step, Const):
            result: Value = at.builder.call(torch.arange, int(start.tensor), end.items[0], int(step.tensor), dtype=torch.int64)
            return result
        raise Undecided("counts to what the model's inputs decide")
    first, last, by = (one.tensor.item() for one in (start, end, step))  # type: ignore[union-attr]
    if by == 0 or abs((last - first) / by) > MOST_NUMBERS:
        raise Unsupported(f"counts from {first} to {last} by {by}")
    return Const(torch.arange(first, last, by, dtype=dtype(start)))


def depth_to_space(at: At, x: Value) -> Value:
    """DepthToSpace in either order."""
    b, c, h, w = (one if isinstance(one, int) else -1 for one in at.shape(x))
    block = at.get("blocksize")
    column_last = at.get("mode", "DCR") == "CRD"
    sizes = (b, c // block**2, block, block, h, w) if column_last else (b, block, block, c // block**2, h, w)
    turned = at.call(torch.permute, at.sized(torch.reshape, x, sizes), [0, 1, 4, 2, 5, 3] if column_last else [0, 3, 4, 1, 5, 2])
    result: Value = at.sized(torch.reshape, turned, (b, c // block**2, h * block, w * block))
    return result


OPERATORS = {
    "Shape": shape,
    "Size": size,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Range": numbers,
    "DepthToSpace": depth_to_space,
}
