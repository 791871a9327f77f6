"""Fitted estimators as ONNX files."""

from __future__ import annotations

from typing import Any


def onnx_bytes(estimator: Any, input_name: str, outputs: tuple[str, ...]) -> bytes:
    """The file: one input (any rows, columns) float32, outputs named and ordered as given."""
    raise NotImplementedError
