"""Fitted estimators by torch's operators, one module for each family: what TFLite and Core ML are converted from."""

from __future__ import annotations

from typing import Any

from torch import nn


def lowered(estimator: Any) -> nn.Module:
    """The estimator as a module: float32 (rows, columns) to the outputs of `Fitted.forward`.

    Raises:
        InvalidInput: an option has no counterpart.
    """
    raise NotImplementedError
