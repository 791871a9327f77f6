"""A product with constant matrices, as CapsNet has it, stays near the model in every quantised TFLite file.

Its kernels know one scale of weights. With one for each column they answered zeros or noise, and nothing said so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.task import Split


class Product(nn.Module):
    """Each of six parts by a matrix of its own, whose columns differ sixteenfold in size."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(6, 8, 16) * torch.arange(1, 17))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 6, 8) to (batch, 6, 16)."""
        return (x.transpose(0, 1) @ self.weights).transpose(0, 1)


@pytest.mark.integration
def test_quantised_products_are_near_the_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Product().eval()
    x = np.random.default_rng(0).standard_normal((32, 6, 8)).astype(np.float32)
    split = Split({"x": x}, np.zeros(len(x)))
    source = Source(model, ("y",), split, split, None, tmp_path)  # type: ignore[arg-type]  # no layer is asked to stay float
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    for name in ("tflite-int8", "tflite-int16x8", "tflite-int8-dynamic"):
        engine = open_model("tflite", source.file(EXPORTERS[name]))
        assert engine is not None
        got = np.concatenate([engine.run({"x": x[i : i + 1]})["y"] for i in range(len(x))])
        assert np.abs(got - wanted).max() < 0.03 * np.abs(wanted).max(), name
