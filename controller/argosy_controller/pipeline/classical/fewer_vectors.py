"""The pass reduce-vectors: how many support vectors, which, and what they then count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.choosing import Judge, boldest, told
from argosy_controller.pipeline.classical.families import MACHINES, final
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.classical.parts import with_final
from argosy_controller.pipeline.classical.support_vectors import Floats, centres, machine_of, order_of_use, refitted, with_machine
from argosy_controller.pipeline.passes.interface import Context

if TYPE_CHECKING:
    from argosy_controller.pipeline.passes.reduce_vectors import ReduceVectorsConfig

#: Parts in which the share of vectors that go is looked for.
_PARTS = 100


def reduced(model: nn.Module, config: ReduceVectorsConfig, ctx: Context) -> Fitted:
    """Pass reduce-vectors. Raises InvalidInput for a model without support vectors, or one judged without validation data."""
    assert isinstance(model, Fitted)
    svm = final(model.estimator)
    if not isinstance(svm, MACHINES):
        raise InvalidInput(f"pass reduce-vectors changes an SVC or SVR, and the model is a {type(svm).__name__}: leave the pass out")
    chooser = _Chooser(svm, config.method, ctx.seed)

    def of_share(share: float) -> Any:
        return with_final(model.estimator, chooser.with_share(share))

    if config.share:
        share, by = config.share, ""
        ctx.on_step(1, 1)
    else:
        judge = Judge.of(model, ctx, "reduce-vectors", "share")
        gone = boldest(_PARTS - 1, lambda parts: judge.holds(of_share(1 - parts / _PARTS), config.drop_at_most), ctx.on_step)
        share, by = 1 - gone / _PARTS, f", by {told(judge.split)}"
    result = model.replaced(of_share(share))
    ctx.note(f"{len(final(result.estimator).support_vectors_):,} of {len(svm.support_vectors_):,} support vectors{by}")
    return result


class _Chooser:
    """A machine with fewer vectors of each class; the order of selection is found once."""

    def __init__(self, svm: Any, method: str, seed: int) -> None:
        self._svm, self._machine = svm, machine_of(svm)
        self._method, self._seed = method, seed
        self._orders = [self._order(group) for group in self._machine.groups] if method == "select" else []

    def with_share(self, share: float) -> Any:
        """The SVM with that share of each class's vectors, at least one; as it is for all of them."""
        counts = [max(1, math.ceil(share * count - 1e-9)) for count in self._machine.counts]
        if tuple(counts) == self._machine.counts:
            return self._svm
        return with_machine(self._svm, refitted(self._machine, [self._fewer(number, count) for number, count in enumerate(counts)]))

    def _order(self, group: slice) -> list[int]:
        vectors = self._machine.vectors[group]
        return order_of_use(self._machine.kernel(vectors, vectors), self._machine.coefficients[:, group])

    def _fewer(self, number: int, count: int) -> Floats:
        group = self._machine.groups[number]
        vectors = self._machine.vectors[group]
        if self._method == "select":
            return vectors[sorted(self._orders[number][:count])]
        return centres(vectors, np.abs(self._machine.coefficients[:, group]).sum(0), count, self._seed)
