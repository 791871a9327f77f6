"""The training between the rounds of a pass that cuts, trains, cuts and trains."""

from __future__ import annotations

from torch import nn

from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.training import AfterStep, fit

#: More than the seeds that passes of one recipe differ by.
_SEED_STEP = 1000


def after_round(
    model: nn.Module,
    config: TrainingConfig,
    ctx: Context,
    number: int,
    rounds: int,
    after_step: AfterStep | None = None,
) -> nn.Module:
    """The model trained after cut `number` (from 0) of `rounds`; a round's progress is one step for the cut and one an epoch."""
    each = 1 + config.epochs
    return fit(
        model,
        ctx.task,
        ctx.data.train,
        config,
        seed=ctx.seed + _SEED_STEP * number,
        on_epoch=lambda done, _: ctx.on_step(number * each + 1 + done, rounds * each),
        after_step=after_step,
    )
