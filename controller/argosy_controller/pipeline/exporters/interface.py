"""What an exporter is: one format and precision, from a torch model to one file.

An exporter is one file here and one line in `exporters/__init__.py`. It imports its framework only inside functions.
Public names, dtypes and meaning of inputs and outputs are the same in every variant: quantising happens inside the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from argosy_controller.pipeline.task import Array, Split

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Source:
    """A finished model with what exporters need to know, and the files that were made of it so far.

    Attributes:
        model: in evaluation mode; no exporter changes it.
        outputs: public output names, in the order in which the model returns them.
        calibration: representative inputs.
        folder: scratch folder for files that exporters build on.
    """

    model: nn.Module
    outputs: tuple[str, ...]
    calibration: Split
    folder: Path
    _made: dict[str, Path] = field(default_factory=dict)

    def file(self, exporter: Exporter) -> Path:
        """What `exporter` makes of this model; made once, however many variants build on it."""
        if exporter.name not in self._made:
            path = self.folder / exporter.name
            exporter.export(self, path)
            self._made[exporter.name] = path
        return self._made[exporter.name]

    def example(self, count: int = 1) -> dict[str, torch.Tensor]:
        """The first calibration inputs as tensors (count, ...), by public name."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays(slice(0, count)).items()}

    def arrays(self, index: slice) -> dict[str, Array]:
        """Calibration inputs by public name, contiguous."""
        return {name: np.ascontiguousarray(array) for name, array in self.calibration.take(index).inputs.items()}


class Exporter(ABC):
    """Writes one kind of file.

    Attributes:
        format: `onnx`, `tflite` or `coreml`.
        precision: `fp32`, `fp16` or `int8`.
    """

    format: ClassVar[str]
    precision: ClassVar[str]

    @property
    def name(self) -> str:
        """What recipes call it, and the default name of the variant."""
        return f"{self.format}-{self.precision}"

    @abstractmethod
    def export(self, source: Source, path: Path) -> None:
        """Writes the file; the same model gives the same bytes."""
