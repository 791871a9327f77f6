"""torch.where for batches of any size: coremltools forgets that the condition may be larger than what is chosen from.

`select` gets the shape of its two choices, so that a condition (batch, n) with choices (n,) would come out one row long. Where the
batch's size is open, coremltools inserts nothing that makes the three alike; this does.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def teach_where() -> None:
    """Replaces coremltools' conversion of torch.where, for this process."""
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

    plain = ops.where

    def where(context: Any, node: Any) -> None:
        found = ops._get_inputs(context, node)
        if len(found) != 3 or not _uneven([one.shape for one in found]) or any(one.dtype == ops.types.bool for one in found[1:]):
            plain(context, node)
            return
        condition = found[0]
        one, other = ops.promote_input_dtypes(found[1:])
        context.add(_selected(ops, condition, one, other, node.name))

    register_torch_op(where, override=True)


def _uneven(shapes: list[Any]) -> bool:
    """Shapes differ, and not all are known."""
    from coremltools.converters.mil.mil.types.symbolic import any_symbolic

    return any(any_symbolic(one) for one in shapes) and any(list(one) != list(shapes[0]) for one in shapes)


def _selected(ops: Any, condition: Any, one: Any, other: Any, name: str) -> Any:
    """Adds zeros of the shape that all three have together: `x < x` is false everywhere, also for what is no number."""
    mb = ops.mb
    condition = condition if condition.dtype == ops.types.bool else mb.cast(x=condition, dtype="bool")
    never = mb.logical_and(x=condition, y=mb.logical_not(x=condition))
    never = mb.logical_or(x=never, y=mb.logical_or(x=mb.less(x=one, y=one), y=mb.less(x=other, y=other)))
    zeros = mb.cast(x=never, dtype=ops.types.builtin_to_string(one.dtype))
    return mb.select(cond=mb.logical_or(x=condition, y=never), a=mb.add(x=one, y=zeros), b=mb.add(x=other, y=zeros), name=name)
