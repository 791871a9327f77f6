"""Scalers in front of an estimator, each step in scikit-learn's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import nn

from argosy_controller.pipeline.task import Array


class Divide(nn.Module):
    """(x - middle) / width, column by column; what is None is left out."""

    middle: torch.Tensor | None
    width: torch.Tensor | None

    def __init__(self, middle: Array | None, width: Array | None) -> None:
        super().__init__()
        self.register_buffer("middle", _row(middle))
        self.register_buffer("width", _row(width))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Scaled rows."""
        rows = rows if self.middle is None else rows - self.middle
        return rows if self.width is None else rows / self.width

    def as_factor_and_shift(self) -> tuple[Array, Array]:
        """The same as x * factor + shift, float64."""
        columns = (self.middle if self.width is None else self.width).shape[1]  # type: ignore[union-attr]  # one of them is there
        width = np.ones(columns) if self.width is None else self.width[0].double().numpy()
        middle = np.zeros(columns) if self.middle is None else self.middle[0].double().numpy()
        return 1 / width, -middle / width


class Stretch(nn.Module):
    """x * factor + shift, column by column."""

    factor: torch.Tensor
    shift: torch.Tensor

    def __init__(self, factor: Array, shift: Array) -> None:
        super().__init__()
        self.register_buffer("factor", _row(factor))
        self.register_buffer("shift", _row(shift))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Scaled rows."""
        return rows * self.factor + self.shift

    def as_factor_and_shift(self) -> tuple[Array, Array]:
        """As they are, float64."""
        return self.factor[0].double().numpy(), self.shift[0].double().numpy()


class Clip(nn.Module):
    """Every value within a range."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = float(low), float(high)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Clipped rows."""
        return rows.clamp(self.low, self.high)


def scaling(scaler: Any) -> nn.Module:
    """A fitted scaler as a module."""
    if isinstance(scaler, StandardScaler):
        return Divide(scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None)
    if isinstance(scaler, RobustScaler):
        return Divide(scaler.center_ if scaler.with_centering else None, scaler.scale_ if scaler.with_scaling else None)
    if isinstance(scaler, MaxAbsScaler):
        divided = Divide(None, scaler.scale_)
        return nn.Sequential(divided, Clip(-1.0, 1.0)) if getattr(scaler, "clip", False) else divided
    assert isinstance(scaler, MinMaxScaler)
    stretched = Stretch(scaler.scale_, scaler.min_)
    return nn.Sequential(stretched, Clip(*scaler.feature_range)) if scaler.clip else stretched


def _row(values: Array | None) -> torch.Tensor | None:
    return None if values is None else torch.from_numpy(np.asarray(values, np.float32)[None])
