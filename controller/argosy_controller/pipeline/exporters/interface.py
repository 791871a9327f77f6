"""What an exporter is: one format and precision, from a torch model to one file.

An exporter is one file here and one line in `exporters/__init__.py`. It imports its framework only inside functions.
Public names, dtypes and meaning of inputs and outputs are the same in every variant: quantising happens inside the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.task import Array, Split, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


C = TypeVar("C", bound=Config)


@dataclass
class Source:
    """A finished model with what exporters need to know, and the files that were made of it so far.

    Attributes:
        model: in evaluation mode; no exporter changes it.
        outputs: public output names, in the order in which the model returns them.
        calibration: representative inputs.
        judging: examples with targets for exporters that must choose (which layers stay float); never the test data.
        task: scores those examples.
        folder: scratch folder for files that exporters build on.
        lowered: the model is an estimator's network, made by `quantisable`.
        notes: by file, what reports must say about it: which layers stayed float, what runs no faster.
    """

    model: nn.Module
    outputs: tuple[str, ...]
    calibration: Split
    judging: Split
    task: Task
    folder: Path
    lowered: bool = False
    notes: dict[Path, list[str]] = field(default_factory=dict)
    _made: dict[tuple[str, Config], Path] = field(default_factory=dict)

    def file(self, exporter: Exporter[C], config: C | None = None) -> Path:
        """What `exporter` makes of this model; made once, however many variants build on it. None: its defaults."""
        options = exporter.config() if config is None else config
        key = (exporter.name, options)
        if key not in self._made:
            path = self.folder / f"{len(self._made)}-{exporter.name}"
            exporter.export(self, path, options)
            self._made[key] = path
        return self._made[key]

    @cached_property
    def network(self) -> nn.Module:
        """The model by torch's operators, for converters that start there; in evaluation mode.

        Raises:
            InvalidInput: it came otherwise, and an operator or option of it has no counterpart.
        """
        from argosy_controller.pipeline.sources.graphs import Foreign

        return self.model.network().eval() if isinstance(self.model, Foreign) else self.model

    @cached_property
    def quantisable(self) -> Source:
        """What files in few bits start from: of an estimator, its network with columns made alike; else this."""
        from argosy_controller.pipeline.exporters.estimators import quantisable

        return quantisable(self)

    def note(self, path: Path, text: str) -> None:
        """Leaves a sentence for the report's row of the variant in `path`."""
        self.notes.setdefault(path, []).append(text)

    def example(self, count: int = 1) -> dict[str, torch.Tensor]:
        """The first calibration inputs as tensors (count, ...), by public name."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays(slice(0, count)).items()}

    def arrays(self, index: slice) -> dict[str, Array]:
        """Calibration inputs by public name, contiguous."""
        return {name: np.asarray(array, order="C") for name, array in self.calibration.take(index).inputs.items()}


class Exporter(ABC, Generic[C]):
    """Writes one kind of file.

    Attributes:
        format: `onnx`, `tflite` or `coreml`.
        precision: one of argosy.protocol.card.PRECISIONS.
        paper: where the method is from; empty for a plain conversion.
        config: the class of its options, given in a recipe beside `use`.
    """

    format: ClassVar[str]
    precision: ClassVar[str]
    paper: ClassVar[str] = ""
    config: ClassVar[type[Any]] = Config

    @property
    def name(self) -> str:
        """What recipes call it, and the default name of the variant."""
        return f"{self.format}-{self.precision}"

    def exact(self, config: C) -> bool:
        """Whether the file must compute what the model computes, up to the order of additions."""
        return self.precision in ("fp32", "packed")

    @abstractmethod
    def export(self, source: Source, path: Path, config: C) -> None:
        """Writes the file; the same model gives the same bytes."""
