"""Operators that work on each number by itself, and on pairs of numbers. Semantics as coremltools documents them for iOS 15."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from argosy_controller.pipeline.coreml.operators.given import Given, Kernel, only

Unary = Callable[[torch.Tensor], torch.Tensor]
Binary = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _unary(function: Unary) -> Kernel:
    return lambda given: function(given.tensor("x"))


def _binary(function: Binary) -> Kernel:
    return lambda given: function(given.tensor("x"), given.tensor("y"))


def _clip(given: Given) -> torch.Tensor:
    return given.tensor("x").clamp(given.number("alpha", 0.0), given.number("beta", 1.0))


def _elu(given: Given) -> torch.Tensor:
    return functional.elu(given.tensor("x"), given.number("alpha", 1.0))


def _gelu(given: Given) -> torch.Tensor:
    x, mode = given.tensor("x"), given.text("mode", "EXACT")
    only("mode", mode, "EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _prelu(given: Given) -> torch.Tensor:
    """One slope for each channel, the second axis."""
    return functional.prelu(given.tensor("x"), given.tensor("alpha").reshape(-1))


def _thresholded_relu(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    return torch.where(x >= given.number("alpha", 1.0), x, torch.zeros_like(x))


def _clamped_relu(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    return torch.where(x >= 0, x, given.number("alpha", 0.0) * x).clamp_max(given.number("beta", 0.0))


def _softplus_parametric(given: Given) -> torch.Tensor:
    x = given.tensor("x")
    sizes = [1, -1, *[1] * (x.dim() - 2)]
    return given.tensor("alpha").reshape(sizes) * functional.softplus(given.tensor("beta").reshape(sizes) * x, threshold=1e9)


def _softmax(given: Given) -> torch.Tensor:
    return given.tensor("x").softmax(given.integer("axis", -1))


def _select(given: Given) -> torch.Tensor:
    return torch.where(given.tensor("cond"), given.tensor("a"), given.tensor("b"))


def _affine(given: Given) -> torch.Tensor:
    return given.number("alpha", 1.0) * given.tensor("x") + given.number("beta", 0.0)


def _floor_div(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.div(x, y, rounding_mode="floor")


_PLAIN: dict[str, Unary] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "relu6": functional.relu6,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": functional.silu,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "softplus": lambda x: functional.softplus(x, threshold=1e9),
    "softsign": functional.softsign,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
    "cast": lambda x: x,  # the declared dtype of the result does it
}
_PAIRS: dict[str, Binary] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "real_div": torch.true_divide,
    "floor_div": _floor_div,
    "mod": torch.remainder,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
_WITH_OPTIONS: dict[str, Kernel] = {
    "clip": _clip,
    "elu": _elu,
    "gelu": _gelu,
    "prelu": _prelu,
    "leaky_relu": lambda given: functional.leaky_relu(given.tensor("x"), given.number("alpha", 0.01)),
    "thresholded_relu": _thresholded_relu,
    "clamped_relu": _clamped_relu,
    "linear_activation": _affine,
    "scaled_tanh": lambda given: given.number("alpha", 1.0) * torch.tanh(given.number("beta", 1.0) * given.tensor("x")),
    "sigmoid_hard": lambda given: _affine(given).clamp(0.0, 1.0),
    "softplus_parametric": _softplus_parametric,
    "softmax": _softmax,
    "threshold": lambda given: given.tensor("x").clamp_min(given.number("alpha", 0.0)),
    "log": lambda given: torch.log(given.tensor("x") + given.number("epsilon", 1e-45)),
    "inverse": lambda given: 1 / (given.tensor("x") + given.number("epsilon", 1e-4)),
    "rsqrt": lambda given: torch.rsqrt(given.tensor("x") + given.number("epsilon", 1e-12)),
    "select": _select,
}

ELEMENTWISE: dict[str, Kernel] = {
    **{name: _unary(function) for name, function in _PLAIN.items()},
    **{name: _binary(function) for name, function in _PAIRS.items()},
    **_WITH_OPTIONS,
}
