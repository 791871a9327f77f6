"""Convolutions, pools, products and normalisations. Semantics as coremltools documents them for iOS 15."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from argosy_controller.pipeline.coreml.operators.given import Given, Kernel, only

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MAX_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE_POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _pads(given: Given, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """How much is put before and after each spatial dimension; `kernel` with its dilation."""
    kind = given.text("pad_type", "valid")
    only("pad_type", kind, "valid", "custom", "same", "same_lower")
    if kind == "valid":
        return [(0, 0)] * len(sizes)
    if kind == "custom":
        flat = given.integers("pad", [0] * 2 * len(sizes))
        return list(itertools.pairwise(flat))[::2]
    found = []
    for size, window, stride in zip(sizes, kernel, strides, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + window - size)
        less, more = total // 2, total - total // 2
        found.append((less, more) if kind == "same" else (more, less))
    return found


def _padded(x: torch.Tensor, pads: Sequence[tuple[int, int]], value: float) -> torch.Tensor:
    flat = [one for pair in reversed(pads) for one in pair]
    return functional.pad(x, flat, value=value) if any(flat) else x


def _conv(given: Given) -> torch.Tensor:
    x, weight = given.tensor("x"), given.tensor("weight")
    rank = x.dim() - 2
    strides, dilations = given.integers("strides", [1] * rank), given.integers("dilations", [1] * rank)
    windows = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True)]
    x = _padded(x, _pads(given, x.shape[2:], windows, strides), 0.0)
    return _CONVOLUTIONS[rank](x, weight, given.optional("bias"), strides, 0, dilations, given.integer("groups", 1))


def _conv_transpose(given: Given) -> torch.Tensor:
    """The whole result, and then what the padding takes off it."""
    x = given.tensor("x")
    rank = x.dim() - 2
    kind = given.text("pad_type", "valid")
    only("pad_type", kind, "valid", "custom")
    strides, dilations = given.integers("strides", [1] * rank), given.integers("dilations", [1] * rank)
    whole = _TRANSPOSED[rank](x, given.tensor("weight"), given.optional("bias"), strides, 0, 0, given.integer("groups", 1), dilations)
    pad = given.integers("pad", [0] * 2 * rank) if kind == "custom" else [0] * 2 * rank
    wanted = given.integers("output_shape")[2:]
    for axis in range(rank):
        length = wanted[axis] if wanted else whole.shape[axis + 2] - pad[2 * axis] - pad[2 * axis + 1]
        short = length + pad[2 * axis] - whole.shape[axis + 2]
        if short > 0:
            whole = _padded(whole, [(0, short if one == axis else 0) for one in range(rank)], 0.0)
        whole = whole.narrow(axis + 2, pad[2 * axis], length)
    return whole


def _pool_shape(given: Given) -> tuple[list[int], list[int], list[tuple[int, int]], list[int]]:
    """Window, strides, padding, and what `ceil_mode` needs beyond it at each end."""
    x, kernel = given.tensor("x"), given.integers("kernel_sizes")
    sizes = list(x.shape[2:])
    strides = given.integers("strides", [1] * len(kernel))
    pads = _pads(given, sizes, kernel, strides)
    beyond = [0] * len(kernel)
    if given.flag("ceil_mode"):
        for i, (size, window, stride, (before, after)) in enumerate(zip(sizes, kernel, strides, pads, strict=True)):
            count = math.ceil((size + before + after - window) / stride) + 1
            count -= (count - 1) * stride >= size + before
            beyond[i] = max(0, (count - 1) * stride + window - size - before - after)
    return kernel, strides, pads, beyond


def _with_beyond(pads: Sequence[tuple[int, int]], beyond: Sequence[int]) -> list[tuple[int, int]]:
    return [(before, after + more) for (before, after), more in zip(pads, beyond, strict=True)]


def _max_pool(given: Given) -> torch.Tensor:
    kernel, strides, pads, beyond = _pool_shape(given)
    x = _padded(given.tensor("x"), _with_beyond(pads, beyond), -math.inf)
    return _MAX_POOLS[len(kernel)](x, kernel, strides)


def _avg_pool(given: Given) -> torch.Tensor:
    """Averages over what counts: padding only where it is not excluded, and never what `ceil_mode` adds."""
    kernel, strides, pads, beyond = _pool_shape(given)
    x, pool = given.tensor("x"), _AVERAGE_POOLS[len(kernel)]
    total = pool(_padded(x, _with_beyond(pads, beyond), 0.0), kernel, strides)
    counted = torch.ones(1, 1, *x.shape[2:])
    if given.flag("exclude_padding_from_average"):
        counted = _padded(counted, _with_beyond(pads, beyond), 0.0)
    else:
        counted = _padded(_padded(counted, pads, 1.0), [(0, more) for more in beyond], 0.0)
    return total / pool(counted, kernel, strides)


def _linear(given: Given) -> torch.Tensor:
    return functional.linear(given.tensor("x"), given.tensor("weight"), given.optional("bias"))


def _matmul(given: Given) -> torch.Tensor:
    x, y = given.tensor("x"), given.tensor("y")
    x = x.transpose(-1, -2) if given.flag("transpose_x") else x
    return x @ (y.transpose(-1, -2) if given.flag("transpose_y") else y)


def _einsum(given: Given) -> torch.Tensor:
    return torch.einsum(given.text("equation"), *given.tensors("values"))


def _per_channel(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return values.reshape(1, -1, *[1] * (x.dim() - 2))


def _scaled(given: Given, x: torch.Tensor) -> torch.Tensor:
    gamma, beta = given.optional("gamma"), given.optional("beta")
    x = x if gamma is None else x * _per_channel(gamma, x)
    return x if beta is None else x + _per_channel(beta, x)


def _batch_norm(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    spread = torch.sqrt(_per_channel(given.tensor("variance"), x) + given.number("epsilon", 1e-5))
    return _scaled(given, (x - _per_channel(given.tensor("mean"), x)) / spread)


def _instance_norm(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    axes = tuple(range(2, x.dim()))
    variance = x.var(axes, unbiased=False, keepdim=True)
    return _scaled(given, (x - x.mean(axes, keepdim=True)) / torch.sqrt(variance + given.number("epsilon", 1e-5)))


def _layer_norm(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    axes = sorted(one % x.dim() for one in given.integers("axes", range(x.dim())))
    variance = x.var(axes, unbiased=False, keepdim=True)
    found = (x - x.mean(axes, keepdim=True)) / torch.sqrt(variance + given.number("epsilon", 1e-5))
    sizes = [x.shape[one] if one in axes else 1 for one in range(x.dim())]
    gamma, beta = given.optional("gamma"), given.optional("beta")
    found = found if gamma is None else found * gamma.reshape(sizes)
    return found if beta is None else found + beta.reshape(sizes)


def _l2_norm(given: Given) -> torch.Tensor:
    """Over the last three dimensions."""
    x = given.tensor("x")
    return x / torch.sqrt((x * x).sum((-3, -2, -1), keepdim=True) + given.number("epsilon", 1e-6))


def _local_response_norm(given: Given) -> torch.Tensor:
    options = (given.number("alpha", 1e-4), given.number("beta", 0.75), given.number("k", 1.0))
    return functional.local_response_norm(given.tensor("x"), given.integer("size", 1), *options)


LAYERS: dict[str, Kernel] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "linear": _linear,
    "matmul": _matmul,
    "einsum": _einsum,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "l2_norm": _l2_norm,
    "local_response_norm": _local_response_norm,
}
