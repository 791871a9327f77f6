"""TFLite with 16-bit activations and 8-bit weights; inputs and outputs stay float."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.tflite_int8 import TFLiteStaticConfig, export_static


class TFLiteInt16x8(Exporter[TFLiteStaticConfig]):
    """Where 8-bit activations cost too much; activations are symmetric, as the kernels demand."""

    format = "tflite"
    precision = "int16x8"
    paper = "Jacob et al. 2018, arXiv:1712.05877; TFLite's scheme of 16-bit activations and 8-bit weights"
    config = TFLiteStaticConfig

    def export(self, source: Source, path: Path, config: TFLiteStaticConfig) -> None:
        """Quantises what `TFLiteFp32` wrote."""
        export_static(source, path, config, 16)
        source.note(path, "16-bit activations run on plain kernels without XNNPACK: expect it slower than fp32 on processors")
