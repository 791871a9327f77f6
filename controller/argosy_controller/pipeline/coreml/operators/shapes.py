"""Operators that arrange numbers anew without changing them, make tensors, and upsample. As coremltools documents them for iOS 15."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch.nn import functional

from argosy_controller.pipeline.coreml.operators.given import Answer, Given, Kernel, bounded, only


def _reshape(given: Given) -> torch.Tensor:
    """0 keeps the dimension, -1 takes what is left."""
    x = given.tensor("x")
    sizes = given.integers("shape")
    return x.reshape([x.shape[i] if one == 0 and i < x.dim() else one for i, one in enumerate(sizes)])


def _reshape_like(given: Given) -> torch.Tensor:
    """The shape is made of parts of other tensors' shapes, from `begins` to `ends` (which may count from the end)."""
    sizes: list[int] = []
    masks = given.flags("end_masks", len(given.tensors("ref_tensors")))
    for other, begin, end, mask in zip(given.tensors("ref_tensors"), given.integers("begins"), given.integers("ends"), masks, strict=True):
        sizes += other.shape[begin : None if mask else end]
    return given.tensor("x").reshape(sizes)


def _expand_dims(given: Given) -> torch.Tensor:
    x, axes = given.tensor("x"), given.integers("axes")
    for axis in sorted(one % (x.dim() + len(axes)) for one in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    return x.squeeze(tuple(given.integers("axes", [i for i, one in enumerate(x.shape) if one == 1])))


def _flatten2d(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    return x.reshape(int(np.prod(x.shape[: given.integer("axis", 1)])), -1)


def _slice_by_index(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    begin, end = given.integers("begin"), given.integers("end")
    strides = given.integers("stride", [1] * x.dim())
    first, last, squeezed = (given.flags(name, x.dim()) for name in ("begin_mask", "end_mask", "squeeze_mask"))
    index: list[slice | int] = [
        begin[i] if squeezed[i] else slice(None if first[i] else begin[i], None if last[i] else end[i], strides[i]) for i in range(x.dim())
    ]
    return torch.from_numpy(np.ascontiguousarray(x.numpy()[tuple(index)]))


def _slice_by_size(given: Given) -> torch.Tensor:
    """A size of -1 takes all that is left."""
    x, begin, sizes = given.tensor("x"), given.integers("begin"), given.integers("size")
    return x[tuple(slice(start, None if size == -1 else start + size) for start, size in zip(begin, sizes, strict=True))]


def _split(given: Given) -> Answer:
    x, axis = given.tensor("x"), given.integer("axis", 0)
    if given.has("split_sizes"):
        return torch.split(x, given.integers("split_sizes"), axis)
    return torch.split(x, x.shape[axis] // given.integer("num_splits", 1), axis)


def _concat(given: Given) -> torch.Tensor:
    only("interleave", given.flag("interleave"), False)
    values = [one.reshape(1) if one.dim() == 0 else one for one in given.tensors("values")]
    return torch.cat(values, given.integer("axis", 0))


def _pad(given: Given) -> torch.Tensor:
    """Pairs for the last dimensions, in their order."""
    x, mode = given.tensor("x"), given.text("mode", "constant")
    only("mode", mode, "constant", "reflect", "replicate")
    pairs = list(itertools.pairwise(given.integers("pad")))[::2]
    pairs = [(0, 0)] * (x.dim() - len(pairs)) + pairs
    bounded([size + before + after for size, (before, after) in zip(x.shape, pairs, strict=True)])
    if mode == "constant":
        return torch.from_numpy(np.pad(x.numpy(), pairs, constant_values=given.number("constant_val", 0.0)))
    return torch.from_numpy(np.pad(x.numpy(), pairs, mode="reflect" if mode == "reflect" else "edge"))


def _fill(given: Given) -> torch.Tensor:
    return torch.full(bounded(given.integers("shape")), given.number("value", 0.0), dtype=given.dtype)


def _fill_like(given: Given) -> torch.Tensor:
    return torch.full_like(given.tensor("ref_tensor"), given.number("value", 0.0), dtype=given.dtype)


def _tile(given: Given) -> torch.Tensor:
    x, times = given.tensor("x"), given.integers("reps")
    bounded([size * one for size, one in zip(x.shape, times, strict=True)])
    return x.repeat(times)


def _range_1d(given: Given) -> torch.Tensor:
    start, end, step = (given.number(name, default) for name, default in (("start", 0), ("end", 0), ("step", 1)))
    bounded([max(0, int((end - start) / step) + 1)])
    return torch.from_numpy(np.arange(start, end, step)).to(given.dtype)


def _band_part(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    lower, upper = given.integer("lower", -1), given.integer("upper", -1)
    x = x if upper < 0 else torch.tril(x, upper)
    return x if lower < 0 else torch.triu(x, -lower)


def _depth_to_space(given: Given) -> torch.Tensor:
    """Channels are (block row, block column, rest): not as in pixel_shuffle."""
    x, block = given.tensor("x"), given.integer("block_size", 1)
    n, c, h, w = x.shape
    blocks = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(given: Given) -> torch.Tensor:
    x, block = given.tensor("x"), given.integer("block_size", 1)
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return blocks.reshape(n, c * block**2, h // block, w // block)


def _upsample_nearest(given: Given) -> torch.Tensor:
    scale = (given.number("scale_factor_height", 1.0), given.number("scale_factor_width", 1.0))
    x = given.tensor("x")
    bounded([*x.shape[:2], *(int(size * one) for size, one in zip(x.shape[2:], scale, strict=True))])
    return functional.interpolate(x, scale_factor=scale, mode="nearest", recompute_scale_factor=False)


def _upsample_bilinear(given: Given) -> torch.Tensor:
    scale = (given.number("scale_factor_height", 1.0), given.number("scale_factor_width", 1.0))
    x, corners = given.tensor("x"), given.flag("align_corners", True)
    only("half_pixel_centers", given.flag("half_pixel_centers", not corners), not corners)
    bounded([*x.shape[:2], *(int(size * one) for size, one in zip(x.shape[2:], scale, strict=True))])
    return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=corners, recompute_scale_factor=False)


SHAPES: dict[str, Kernel] = {
    "reshape": _reshape,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "flatten2d": _flatten2d,
    "transpose": lambda given: given.tensor("x").permute(given.integers("perm")),
    "reverse": lambda given: given.tensor("x").flip(given.integers("axes", range(given.tensor("x").dim()))),
    "shape": lambda given: torch.tensor(given.tensor("x").shape, dtype=torch.int32),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "split": _split,
    "concat": _concat,
    "stack": lambda given: torch.stack(given.tensors("values"), given.integer("axis", 0)),
    "pad": _pad,
    "fill": _fill,
    "fill_like": _fill_like,
    "reshape_like": _reshape_like,
    "tile": _tile,
    "range_1d": _range_1d,
    "band_part": _band_part,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "pixel_shuffle": lambda given: functional.pixel_shuffle(given.tensor("x"), given.integer("upscale_factor", 1)),
    "pixel_unshuffle": lambda given: functional.pixel_unshuffle(given.tensor("x"), given.integer("downscale_factor", 1)),
    "upsample_nearest_neighbor": _upsample_nearest,
    "upsample_bilinear": _upsample_bilinear,
}
