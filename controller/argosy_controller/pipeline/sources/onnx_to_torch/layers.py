"""Layers with weights, pooling and normalising. Those with known weights become modules of torch, named after the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.sources.onnx_to_torch.building import At, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Live, Undecided, Unsupported, Value

_CONV: dict[int, type[Any]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_CONV_FUNCTIONS: dict[int, Callable[..., Any]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Callable[..., Any]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_MAX: dict[int, Callable[..., Any]] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE: dict[int, Callable[..., Any]] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _spatial(x: Value, known: dict[int, Any]) -> int:
    if rank(x) - 2 not in known:
        raise Unsupported(f"works on tensors of {rank(x)} dimensions, and 3 to 5 convert")
    return rank(x) - 2


def _padding(at: At, x: Value, kernel: list[int], strides: list[int], dilations: list[int]) -> tuple[list[int], list[int]]:
    """Zeros before and after, by axis."""
    count = len(kernel)
    kind = at.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", "VALID"):
        pads = at.get("pads", [0] * 2 * count) if kind == "NOTSET" else [0] * 2 * count
        return list(pads[:count]), list(pads[count:])
    sizes = at.shape(x)[2:]
    if not all(isinstance(one, int) for one in sizes):
        raise Undecided(f"has auto_pad {kind} over a size that is free")
    totals = [
        max(0, (math.ceil(int(size) / stride) - 1) * stride + (reach - 1) * dilation + 1 - int(size))  # type: ignore[arg-type]
        for size, reach, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    small = [one // 2 for one in totals]
    large = [total - one for total, one in zip(totals, small, strict=True)]
    return (small, large) if kind == "SAME_UPPER" else (large, small)


def _padded(at: At, x: Value, before: list[int], after: list[int], value: float) -> tuple[Value, list[int]]:
    """The tensor, padded where both ends differ, and the padding that is left to the layer."""
    if before == after:
        return x, before
    ends = [one for pair in zip(reversed(before), reversed(after), strict=True) for one in pair]
    return at.call(functional.pad, x, ends, value=value), [0] * len(before)


def conv(at: At, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """Conv."""
    count = _spatial(x, _CONV)
    kernel = [int(one) for one in at.shape(weight)[2:]]  # type: ignore[arg-type]
    strides, dilations = list(at.get("strides", [1] * count)), list(at.get("dilations", [1] * count))
    groups = at.get("group", 1)
    x, padding = _padded(at, x, *_padding(at, x, kernel, strides, dilations), 0.0)
    if not isinstance(x, Live) or not isinstance(weight, Const) or isinstance(bias, Live):
        result: Value = at.call(_CONV_FUNCTIONS[count], x, weight, bias, strides, padding, dilations, groups)
        return result

    def make() -> nn.Module:
        assert isinstance(weight, Const)
        outputs, inputs = weight.tensor.shape[:2]
        layer = _CONV[count](inputs * groups, outputs, kernel, strides, padding, dilations, groups, bias=bias is not None)
        return _with(layer, weight, bias)

    kind = ("Conv", *strides, -1, *padding, -1, *dilations, groups)
    return at.builder.module(kind, (weight, bias) if isinstance(bias, Const) else (weight,), make, x)


def _with(layer: nn.Module, weight: Const, bias: Value | None) -> nn.Module:
    layer.weight = nn.Parameter(weight.tensor, requires_grad=False)
    if isinstance(bias, Const):
        layer.bias = nn.Parameter(bias.tensor, requires_grad=False)
    return layer


def conv_transposed(at: At, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """ConvTranspose."""
    count = _spatial(x, _TRANSPOSED)
    at.plain(auto_pad="NOTSET", output_shape=None)
    pads = at.get("pads", [0] * 2 * count)
    if list(pads[:count]) != list(pads[count:]):
        raise Unsupported(f"has pads {pads}, and only the same at both ends convert")
    options = {name: list(at.get(name, [one] * count)) for name, one in (("strides", 1), ("output_padding", 0), ("dilations", 1))}
    result: Value = at.call(
        _TRANSPOSED[count],
        *(x, weight, bias, options["strides"], list(pads[:count])),
        *(options["output_padding"], at.get("group", 1), options["dilations"]),
    )
    return result


def _pool_options(at: At, x: Value, count: int) -> tuple[list[int], list[int], list[int]]:
    kernel = list(at.get("kernel_shape"))
    return kernel, list(at.get("strides", [1] * count)), list(at.get("dilations", [1] * count))


def max_pool(at: At, x: Value) -> Value:
    """MaxPool, without the places of the maxima."""
    if at.outputs > 1:
        raise Unsupported("gives the places of its maxima, which do not convert")
    at.plain(storage_order=0)
    count = _spatial(x, _MAX)
    kernel, strides, dilations = _pool_options(at, x, count)
    before, after = _padding(at, x, kernel, strides, dilations)
    x, padding = _padded(at, x, before, after, -math.inf)
    result: Value = at.call(_MAX[count], x, kernel, strides, padding, dilations, bool(at.get("ceil_mode", 0)))
    return result


def average_pool(at: At, x: Value) -> Value:
    """AveragePool."""
    count = _spatial(x, _AVERAGE)
    kernel, strides, dilations = _pool_options(at, x, count)
    at.plain(dilations=[1] * count)
    before, after = _padding(at, x, kernel, strides, dilations)
    counted = bool(at.get("count_include_pad", 0))
    if before != after and not counted:
        raise Unsupported(f"has other pads before ({before}) than after ({after}) that are not counted")
    x, padding = _padded(at, x, before, after, 0.0)
    result: Value = at.call(_AVERAGE[count], x, kernel, strides, padding, bool(at.get("ceil_mode", 0)), counted)
    return result


def global_average(at: At, x: Value) -> Value:
    """GlobalAveragePool."""
    result: Value = at.call(torch.mean, x, list(range(2, rank(x))), True)
    return result


def global_max(at: At, x: Value) -> Value:
    """GlobalMaxPool."""
    result: Value = at.call(torch.amax, x, list(range(2, rank(x))), True)
    return result


def batch_norm(at: At, x: Value, scale: Value, shift: Value, mean: Value, variance: Value) -> Value:
    """BatchNormalization, as after training: by the numbers that it learnt."""
    at.plain(training_mode=0, spatial=1)
    result: Value = at.call(functional.batch_norm, x, mean, variance, scale, shift, False, 0.0, at.get("epsilon", 1e-5))
    return result


def layer_norm(at: At, x: Value, scale: Value, shift: Value | None = None) -> Value:
    """LayerNormalization, without its statistics."""
    if at.outputs > 1:
        raise Unsupported("gives its mean and deviation, which do not convert")
    sizes = [int(one) for one in at.shape(x)[at.get("axis", -1) :] if isinstance(one, int)]
    if tuple(sizes) != at.shape(scale):
        raise Unsupported(f"scales by {list(at.shape(scale))} where it normalises over {sizes}")
    result: Value = at.call(functional.layer_norm, x, sizes, scale, shift, at.get("epsilon", 1e-5))
    return result


def instance_norm(at: At, x: Value, scale: Value, shift: Value) -> Value:
    """InstanceNormalization."""
    result: Value = at.call(functional.instance_norm, x, None, None, scale, shift, True, 0.0, at.get("epsilon", 1e-5))
    return result


def matmul(at: At, a: Value, b: Value) -> Value:
    """MatMul; with a known matrix it is a linear layer without bias."""
    if isinstance(a, Live) and isinstance(b, Const) and b.tensor.dim() == 2:
        return _linear(at, a, b, b.tensor.T.contiguous(), None)
    result: Value = at.call(torch.matmul, a, b)
    return result


def _linear(at: At, x: Live, weight: Const, matrix: torch.Tensor, bias: Const | None) -> Value:
    def make() -> nn.Module:
        outputs, inputs = matrix.shape
        return _with(nn.Linear(inputs, outputs, bias=bias is not None), Const(matrix), bias)

    kind = ("Linear", *matrix.shape)
    return at.builder.module(kind, (weight,) if bias is None else (weight, bias), make, x)


def gemm(at: At, a: Value, b: Value, c: Value | None = None) -> Value:
    """Gemm: alpha A B + beta C."""
    alpha, beta = at.get("alpha", 1.0), at.get("beta", 1.0)
    a = at.call(torch.t, a) if at.get("transA", 0) else a
    simple = (alpha, beta) == (1.0, 1.0) and (c is None or (isinstance(c, Const) and c.tensor.dim() == 1))
    if simple and isinstance(a, Live) and isinstance(b, Const):
        matrix = b.tensor if at.get("transB", 0) else b.tensor.T.contiguous()
        if c is None or c.tensor.shape[0] == matrix.shape[0]:  # type: ignore[union-attr]
            return _linear(at, a, b, matrix, c)  # type: ignore[arg-type]
    product = at.call(torch.matmul, a, at.call(torch.t, b) if at.get("transB", 0) else b)
    product = product if alpha == 1.0 else at.call(torch.mul, product, alpha)
    if c is None:
        return product  # type: ignore[no-any-return]
    result: Value = at.call(torch.add, product, c if beta == 1.0 else at.call(torch.mul, c, beta))
    return result


def einsum(at: At, *inputs: Value) -> Value:
    """Einsum."""
    result: Value = at.call(torch.einsum, at.get("equation").replace(" ", ""), list(inputs))
    return result


OPERATORS = {
    "Conv": conv,
    "ConvTranspose": conv_transposed,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_max,
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "InstanceNormalization": instance_norm,
    "MatMul": matmul,
    "Gemm": gemm,
    "Einsum": einsum,
}
