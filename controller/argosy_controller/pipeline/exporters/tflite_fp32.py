"""TFLite in single precision, by litert-torch: no TensorFlow. The batch is fixed at 1: that is what devices ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config

if TYPE_CHECKING:
    from torch import nn


class TFLiteFp32(Exporter[Config]):
    """The file's signature `serving_default` carries the public names, so it explains itself outside Argosy too."""

    format = "tflite"
    precision = "fp32"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts with one example's shapes."""
        import litert_torch

        edge = litert_torch.convert(_named(source), sample_kwargs=source.example(1))
        edge.export(str(path))


def _named(source: Source) -> nn.Module:
    from torch import nn

    from argosy_controller.pipeline.training import forward

    class Named(nn.Module):
        """Takes inputs and gives outputs by public name."""

        def __init__(self) -> None:
            super().__init__()
            self.model = source.model

        def forward(self, **inputs: object) -> dict[str, object]:
            ordered = [inputs[name] for name in source.calibration.inputs]
            return dict(zip(source.outputs, forward(self.model, ordered), strict=True))  # type: ignore[arg-type]

    return Named().eval()
