"""Element by element: arithmetic, comparisons, types. Integers that stand for sizes are computed as sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch

from argosy_controller.pipeline.sources.onnx_to_torch.building import At, dtype, rank
from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Sizes, Undecided, Unsupported, Value, sizes_value

#: ONNX's TensorProto.DataType. Half precision and texts are not computed here.
DTYPES = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}


def dtype_of(number: int) -> torch.dtype:
    """torch's type for ONNX's number of it."""
    if number not in DTYPES:
        raise Unsupported(f"gives tensors of ONNX's type {number}, and only {', '.join(str(one) for one in DTYPES.values())} convert")
    return DTYPES[number]


def plain(function: Callable[..., Any]) -> Callable[..., Value]:
    """An operator that is one function of torch's."""

    def apply(at: At, *inputs: Value) -> Value:
        result: Value = at.call(function, *inputs)
        return result

    return apply


def binary(function: Callable[..., Any], of_sizes: Callable[..., Any]) -> Callable[..., Value]:
    """An operator on two tensors, or on sizes."""

    def apply(at: At, a: Value, b: Value) -> Value:
        at.plain(axis=0, broadcast=0)
        if isinstance(a, Sizes) or isinstance(b, Sizes):
            together = _of_sizes(at, of_sizes, a, b)
            if together is not None:
                return together
        result: Value = at.call(function, a, b)
        return result

    return apply


def _of_sizes(at: At, function: Callable[..., Any], a: Value, b: Value) -> Value | None:
    """None where one of them is a tensor that only the inputs decide."""
    parts = []
    for one in (a, b):
        if not isinstance(one, Sizes) and (not isinstance(one, Const) or one.tensor.is_floating_point()):
            return None
        parts.append((at.sizes(one, "sizes"), rank(one) == 0))
    (left, _), (right, _) = parts
    count = max(len(left), len(right))
    pairs = zip(left * (count // len(left)), right * (count // len(right)), strict=True)
    return sizes_value(tuple(_one(at, function, x, y) for x, y in pairs), all(scalar for _, scalar in parts))


def _one(at: At, function: Callable[..., Any], a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return int(function(a, b))
    return at.builder.call(function, a, b)


def divide(at: At, a: Value, b: Value) -> Value:
    """Div: integers are cut towards 0."""
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        together = _of_sizes(at, operator.floordiv, a, b)  # sizes are not negative
        if together is not None:
            return together
    whole = not dtype(a).is_floating_point
    result: Value = at.call(torch.div, a, b, rounding_mode="trunc") if whole else at.call(torch.div, a, b)
    return result


def power(at: At, a: Value, b: Value) -> Value:
    """Pow: the result has the first one's type. Known whole exponents stay numbers, which converters like."""
    exponent: Any = b
    if isinstance(b, Const) and b.tensor.numel() == 1:
        exponent = b.tensor.item()
    if exponent == 2:
        return multiply(at, a, a)
    result: Value = at.call(torch.pow, a, exponent)
    return result if dtype(result) == dtype(a) else at.call(torch.Tensor.to, result, dtype(a))


def modulo(at: At, a: Value, b: Value) -> Value:
    """Mod: with fmod the sign is the first one's, else the second's."""
    if at.get("fmod", 0):
        result: Value = at.call(torch.fmod, a, b)
        return result
    return binary(torch.remainder, operator.mod)(at, a, b)


def variadic(function: Callable[..., Any]) -> Callable[..., Value]:
    """One after the other."""

    def apply(at: At, *inputs: Value) -> Value:
        return reduce(lambda a, b: at.call(function, a, b), inputs)

    return apply


def mean(at: At, *inputs: Value) -> Value:
    """Mean of several tensors."""
    total = variadic(torch.add)(at, *inputs)
    result: Value = at.call(torch.div, total, len(inputs))
    return result


def clip(at: At, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """Clip: bounds are attributes before opset 11."""
    ends: list[Any] = [at.get("min"), at.get("max")] if at.opset < 11 else [_number(low), _number(high)]
    if all(one is None for one in ends):
        return x
    if ends == [0.0, 6.0]:
        result: Value = at.call(torch.nn.functional.relu6, x)
        return result
    result = at.call(torch.clamp, x, *ends)
    return result


def _number(bound: Value | None) -> float | int | None:
    if bound is None:
        return None
    if not isinstance(bound, Const):
        raise Unsupported("has bounds that the model's inputs decide")
    number: float | int = bound.tensor.item()
    return number


def cast(at: At, x: Value, like: Value | None = None) -> Value:
    """Cast and CastLike; to a truth value, everything but 0 is true."""
    to = dtype(like) if like is not None else dtype_of(at.get("to"))
    if isinstance(x, Sizes) and to in (torch.int64, torch.int32):
        return x
    if isinstance(x, Sizes) and to == torch.bool:
        raise Undecided("asks whether a size is 0")
    if dtype(x) == to:
        return x
    result: Value = at.call(torch.ne, x, 0) if to == torch.bool else at.call(torch.Tensor.to, x, to)
    return result


def where(at: At, condition: Value, a: Value, b: Value) -> Value:
    """Where; sizes are chosen one by one where the condition is known."""
    if isinstance(a, Sizes) or isinstance(b, Sizes):
        if not isinstance(condition, Const):
            raise Undecided("chooses a size by a value")
        chosen = condition.tensor.flatten().tolist()
        count = len(chosen)
        left, right = (items * (count // len(items)) for items in (at.sizes(a, "sizes"), at.sizes(b, "sizes")))
        return sizes_value(tuple(x if one else y for one, x, y in zip(chosen, left, right, strict=True)))
    result: Value = at.call(torch.where, condition, a, b)
    return result


def rounded(at: At, x: Value) -> Value:
    """Round: halves go to the even one, as torch does."""
    result: Value = at.call(torch.round, x)
    return result


add, subtract, multiply = binary(torch.add, operator.add), binary(torch.sub, operator.sub), binary(torch.mul, operator.mul)

OPERATORS = {
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Pow": power,
    "Mod": modulo,
    "Sum": variadic(torch.add),
    "Mean": mean,
    "Min": variadic(torch.minimum),
    "Max": variadic(torch.maximum),
    "Clip": clip,
    "Cast": cast,
    "CastLike": cast,
    "Where": where,
    "Round": rounded,
    "Equal": binary(torch.eq, operator.eq),
    "Less": binary(torch.lt, operator.lt),
    "LessOrEqual": binary(torch.le, operator.le),
    "Greater": binary(torch.gt, operator.gt),
    "GreaterOrEqual": binary(torch.ge, operator.ge),
    "And": plain(torch.logical_and),
    "Or": plain(torch.logical_or),
    "Xor": plain(torch.logical_xor),
    "Not": plain(torch.logical_not),
    "Neg": plain(torch.neg),
    "Abs": plain(torch.abs),
    "Exp": plain(torch.exp),
    "Log": plain(torch.log),
    "Sqrt": plain(torch.sqrt),
    "Reciprocal": plain(torch.reciprocal),
    "Floor": plain(torch.floor),
    "Ceil": plain(torch.ceil),
    "Sign": plain(torch.sign),
    "Erf": plain(torch.erf),
    "Sin": plain(torch.sin),
    "Cos": plain(torch.cos),
    "Atan": plain(torch.atan),
    "IsNaN": plain(torch.isnan),
}
