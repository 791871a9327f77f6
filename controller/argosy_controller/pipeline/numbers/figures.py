"""What is measured of a variant, as goals and searches take it."""

from __future__ import annotations

import msgspec

from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.report import Drop


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one variant; None is not measured.

    Attributes:
        bytes: of the model file.
    """

    bytes: int
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    timing: Timing | None = None
    macs: int | None = None
    parameters: int | None = None
    not_zero: int | None = None


class Figures(Measures, frozen=True, kw_only=True):
    """What goals are judged by.

    Attributes:
        best: the best value that the metric can have; what is missing to it is the error.
        counted: the accuracy is a share of right answers.
    """

    best: float = 1.0
    counted: bool = True
