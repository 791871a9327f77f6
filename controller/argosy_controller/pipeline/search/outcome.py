"""What came out of one trial, as workers send it and journals keep it."""

from __future__ import annotations

from typing import Literal

import msgspec

from argosy_controller.pipeline.numbers.figures import Measures

State = Literal["complete", "hopeless", "failed"]


class Look(msgspec.Struct, frozen=True, array_like=True):
    """One look at a model in training.

    Attributes:
        stage: 0 for the first training, then the passes.
        epoch: of this stage, from 1.
        loss: on the validation data.
    """

    stage: int
    epoch: int
    loss: float


Curve = tuple[Look, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One trial's end.

    Attributes:
        judged: accuracy and drop on validation data; None unless the trial is complete.
        curve: all looks, up to the one at which a hopeless trial was given up.
        gradient: of the validation loss by each dimension, for method gradient.
        reason: why it failed or was given up, one sentence.
        lasting: trying again would end the same way; False for a worker that died.
    """

    state: State
    judged: Measures | None = None
    curve: Curve = ()
    gradient: dict[str, float] = {}
    seconds: float = 0.0
    reason: str = ""
    lasting: bool = True

    @property
    def values(self) -> dict[str, float]:
        """What was measured, by objective."""
        found = self.judged
        if found is None:
            return {}
        known = {
            "accuracy": found.accuracy.value if found.accuracy else None,
            "bytes": found.bytes,
            "p50_us": found.timing.p50_us if found.timing else None,
            "macs": found.macs,
            "not_zero": found.not_zero,
        }
        return {name: float(value) for name, value in known.items() if value is not None}
