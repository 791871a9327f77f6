"""The options that passes, exporters and training have in common: small frozen structs that a recipe fills.

Every option has a default, its range and unit as `msgspec.Meta`, and a sentence; `controller recipes` prints them. No torch
here: recipes are read and listed without it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Optimiser = Literal["adam", "adamw", "sgd", "adagrad"]
Schedule = Literal["cosine", "constant"]
LossName = Literal["task", "cross-entropy", "focal"]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a pass or an exporter."""


class TrainingConfig(Config, frozen=True, kw_only=True):
    """How to train; every pass that trains takes these beside its own.

    Attributes:
        epochs: passes over the training data.
        learning_rate: the optimiser's step size at the start.
        schedule: `cosine` lets the rate fall to 0 along half a cosine, `constant` keeps it.
        batch_size: examples a step; 0 takes the task's.
        loss: `task` is the task's own; `cross-entropy` and `focal` replace it.
    """

    epochs: Annotated[int, Meta(ge=0, le=10_000, description="passes over the training data")] = 3
    learning_rate: Annotated[float, Meta(gt=0, le=10, description="the optimiser's step size at the start")] = 5e-4
    optimiser: Annotated[Optimiser, Meta(description="the rule that turns gradients into steps")] = "adam"
    momentum: Annotated[float, Meta(ge=0, lt=1, description="of sgd: share of the last step that is taken again")] = 0.9
    weight_decay: Annotated[float, Meta(ge=0, le=1, description="how strongly weights are drawn to 0")] = 0.0
    schedule: Annotated[Schedule, Meta(description="how the step size falls")] = "cosine"
    batch_size: Annotated[int, Meta(ge=0, le=65_536, description="examples a step; 0 takes the task's")] = 0
    loss: Annotated[LossName, Meta(description="what training makes small; task: the task's own")] = "task"
    focal_gamma: Annotated[float, Meta(ge=0, le=10, description="of focal: how little easy examples count")] = 2.0
