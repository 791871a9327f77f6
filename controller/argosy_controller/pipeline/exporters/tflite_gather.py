"""Selecting by index as TFLite's own GATHER: one operator where litert-torch (0.10) writes up to six.

litert-torch goes by way of JAX, which wraps negative indices and lists the place of every example beside its index, a constant as long
as the batch. torch has no negative indices here, and GATHER counts the examples itself. Choices that broadcast are SELECT_V2's
work too: made alike beforehand, they have the batch's size in a constant shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: SELECT_V2 broadcasts this many dimensions.
_MOST_DIMENSIONS = 4


@contextmanager
def gathering() -> Iterator[None]:
    """Within it, torch.gather, index_select and where are converted so; elsewhere in this process as ever."""
    import torch
    from litert_torch.backend.lowerings import registry

    known = registry.global_registry.registered_ops
    aten = torch.ops.aten
    ours: dict[Any, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        aten.gather.default: _gather,
        aten.index_select.default: _index_select,
        aten.where.self: _where,
    }
    before = {operator: known[operator] for operator in ours}
    known.update({operator: make(before[operator]) for operator, make in ours.items()})
    try:
        yield
    finally:
        known.update(before)


def _gather(plain: Callable[..., Any]) -> Callable[..., Any]:
    def lowered(context: Any, x: Any, dim: int, index: Any, **more: Any) -> Any:
        axis = dim % max(len(x.type.shape), 1)
        if axis != len(x.type.shape) - 1 or list(x.type.shape[:axis]) != list(index.type.shape[:axis]):
            return plain(context, x, dim, index, **more)
        return _gathered(context, x, index, axis, axis)

    return lowered


def _index_select(plain: Callable[..., Any]) -> Callable[..., Any]:
    def lowered(context: Any, x: Any, dim: int, index: Any) -> Any:
        if not x.type.shape or len(index.type.shape) != 1:
            return plain(context, x, dim, index)
        return _gathered(context, x, index, dim % len(x.type.shape), 0)

    return lowered


def _where(plain: Callable[..., Any]) -> Callable[..., Any]:
    def lowered(context: Any, condition: Any, one: Any, other: Any) -> Any:
        shapes = [list(each.type.shape) for each in (condition, one, other)]
        alike = all(shape == shapes[0] for shape in shapes)
        if alike or one.type.element_type != other.type.element_type or max(map(len, shapes)) > _MOST_DIMENSIONS:
            return plain(context, condition, one, other)
        return _operator(context, "tfl.select_v2", [condition, one, other], {})

    return lowered


def _gathered(context: Any, x: Any, index: Any, axis: int, batch: int) -> Any:
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import stablehlo

    number = ir.IntegerType.get_signless(32)
    if str(index.type.element_type) == "i64":
        index = stablehlo.convert(ir.RankedTensorType.get(index.type.shape, number), index)
    return _operator(context, "tfl.gather", [x, index], {"axis": axis, "batch_dims": batch})


def _operator(context: Any, name: str, operands: list[Any], attributes: dict[str, int]) -> Any:
    """One of TFLite's operators, as litert-torch carries them through StableHLO."""
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import stablehlo
    from litert_torch.backend.lowerings import utils

    number = ir.IntegerType.get_signless(32)
    options = ir.DictAttr.get({key: ir.IntegerAttr.get(number, value) for key, value in attributes.items()})
    return stablehlo.custom_call(
        result=utils.node_meta_to_ir_types(context.node),
        inputs=operands,
        call_target_name=ir.StringAttr.get(name),
        has_side_effect=ir.BoolAttr.get(False),
        backend_config=ir.StringAttr.get(str(options)),
    )
