"""Core ML in half precision: an ML program for iOS 15 and later. What the Neural Engine takes."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config


class CoreMLFp16(Exporter[Config]):
    """Inputs and outputs are float32 as in every variant; weights and the arithmetic inside are half precision."""

    format = "coreml"
    precision = "fp16"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts for batches of any size up to 1024 where that is possible; integers are 32 bits wide."""
        from argosy_controller.pipeline.exporters.coreml_convert import Precision, convert

        convert(source, path, Precision("FLOAT16"))
