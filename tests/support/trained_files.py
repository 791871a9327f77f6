"""Tasks with and without a model, and a trained model saved as every kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class Described(Task):
    """Data and metric only: the model comes as a file."""

    name = "shades"
    outputs = ("logits",)

    def data(self, seed: int) -> Data:
        random = np.random.default_rng(seed)
        examples = Split({"image": random.normal(0, 1, (24, 1, 6, 6)).astype(np.float32)}, random.integers(0, 2, 24))
        return Data(train=examples.take(slice(0, 16)), test=examples.take(slice(16, None)))


class Shades(Described):
    """The same with a model."""

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def save_exported(model: nn.Module, path: Path) -> None:
    """As torch.export writes it, with a free batch."""
    program = torch.export.export(model, (torch.zeros(2, 1, 6, 6),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},))
    torch.export.save(program, path)


def save_script(model: nn.Module, path: Path) -> None:
    """As TorchScript."""
    torch.jit.save(torch.jit.trace(model, torch.zeros(2, 1, 6, 6)), path)


def save_weights(model: nn.Module, path: Path) -> None:
    """As safetensors."""
    save_file(model.state_dict(), path)


def save_onnx(model: nn.Module, path: Path) -> None:
    """As ONNX with the task's names."""
    shapes = ({0: torch.export.Dim("batch", min=1, max=65536)},)
    torch.onnx.export(
        model,
        (torch.zeros(2, 1, 6, 6),),
        path,
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )
