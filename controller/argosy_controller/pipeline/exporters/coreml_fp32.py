"""Core ML in single precision: an ML program for iOS 15 and later."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config


class CoreMLFp32(Exporter[Config]):
    """By coremltools. Core ML runs on Apple's systems alone; elsewhere the program is interpreted to verify it."""

    format = "coreml"
    precision = "fp32"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts for batches of any size up to 1024 where that is possible; integers are 32 bits wide."""
        from argosy_controller.pipeline.exporters.coreml_convert import Precision, convert

        convert(source, path, Precision("FLOAT32"))
