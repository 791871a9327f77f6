"""TFLite with 4-bit weights, per channel; activations are in single precision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.options import MixedConfig
from argosy_controller.pipeline.exporters.tflite_quantise import Scales, algorithm, export_mixed, granularity

NEWER = "runs on ai-edge-litert alone: tflite-runtime 2.14, the last there is, cannot open 4-bit weights"


class TFLiteInt4Config(MixedConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        scales: as in tflite-int8.
    """

    scales: Annotated[Scales, Meta(description="how scales of weights are chosen")] = "mse"


class TFLiteInt4(Exporter[TFLiteInt4Config]):
    """Weights become float again before each operator computes."""

    format = "tflite"
    precision = "int4"
    paper = "Dettmers and Zettlemoyer 2023, The case for 4-bit precision, arXiv:2212.09720"
    config = TFLiteInt4Config

    def export(self, source: Source, path: Path, config: TFLiteInt4Config) -> None:
        """Quantises the weights of what `TFLiteFp32` wrote."""

        def plan(worker: Any) -> None:
            options = {"granularity": granularity(True), "algorithm_key": algorithm(config.scales)}
            worker.add_weight_only_config(regex=".*", operation_name="*", num_bits=4, **options)

        export_mixed(source, path, config, plan)
        source.note(path, NEWER)
