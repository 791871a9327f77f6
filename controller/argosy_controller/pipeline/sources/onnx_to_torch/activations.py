"""Activations: functions of one number, and softmax over an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from argosy_controller.pipeline.sources.onnx_to_torch.arithmetic import plain
from argosy_controller.pipeline.sources.onnx_to_torch.building import At, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Value


def parametric(function: Callable[..., Any], **defaults: float) -> Callable[..., Value]:
    """A function whose other arguments are attributes, in this order."""

    def apply(at: At, x: Value) -> Value:
        result: Value = at.call(function, x, *(at.get(name, value) for name, value in defaults.items()))
        return result

    return apply


def hard_sigmoid(at: At, x: Value) -> Value:
    """HardSigmoid: max(0, min(1, alpha x + beta))."""
    line = at.call(torch.add, at.call(torch.mul, x, at.get("alpha", 0.2)), at.get("beta", 0.5))
    result: Value = at.call(torch.clamp, line, 0.0, 1.0)
    return result


def leaky(at: At, x: Value, slope: Value) -> Value:
    """PRelu: its slope broadcasts from the right."""
    negative = at.call(torch.mul, at.call(torch.clamp, x, None, 0.0), slope)
    result: Value = at.call(torch.add, at.call(torch.relu, x), negative)
    return result


def gelu(at: At, x: Value) -> Value:
    """Gelu of opset 20."""
    kind = at.get("approximate", "none")
    result: Value = at.call(functional.gelu, x) if kind == "none" else at.call(functional.gelu, x, approximate=kind)
    return result


def over_axis(function: Callable[..., Any]) -> Callable[..., Value]:
    """Softmax and LogSoftmax: before opset 13 all axes from the given one on are one."""

    def apply(at: At, x: Value) -> Value:
        axis = at.get("axis", -1 if at.opset >= 13 else 1)
        if at.opset >= 13 or axis in (-1, rank(x) - 1):
            result: Value = at.call(function, x, axis)
            return result
        flat = at.call(torch.flatten, x, axis)
        result = at.sized(torch.reshape, at.call(function, flat, -1), at.shape(x))
        return result

    return apply


def identity(at: At, x: Value, *others: Value | None) -> Value | tuple[Value | None, ...]:
    """Identity, and Dropout, which does nothing after training."""
    return x if at.outputs == 1 else (x, None)


OPERATORS = {
    "Relu": plain(functional.relu),
    "LeakyRelu": parametric(functional.leaky_relu, alpha=0.01),
    "PRelu": leaky,
    "Elu": parametric(functional.elu, alpha=1.0),
    "Sigmoid": plain(torch.sigmoid),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": plain(functional.hardswish),
    "Tanh": plain(torch.tanh),
    "Softplus": plain(functional.softplus),
    "Softsign": plain(functional.softsign),
    "Mish": plain(functional.mish),
    "Gelu": gelu,
    "Softmax": over_axis(torch.softmax),
    "LogSoftmax": over_axis(torch.log_softmax),
    "Identity": identity,
    "Dropout": identity,
}
