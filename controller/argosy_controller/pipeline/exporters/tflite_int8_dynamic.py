"""TFLite with 8-bit weights; activations are quantised while the model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.options import MixedConfig
from argosy_controller.pipeline.exporters.tflite_quantise import ONE_SCALE, Scales, algorithm, export_mixed, granularity


class TFLiteDynamicConfig(MixedConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        linear_per_channel: tflite-runtime 2.14, the last there is, takes one scale for a linear layer, and with more it answers
            wrongly without a word; ai-edge-litert takes both. Convolutions have a scale for each output channel.
        scales: as in tflite-int8.
    """

    linear_per_channel: Annotated[bool, Meta(description="a scale for each output of linear layers: wrong on tflite-runtime 2.14")] = False
    scales: Annotated[Scales, Meta(description="how scales of weights are chosen")] = "minmax"


class TFLiteInt8Dynamic(Exporter[TFLiteDynamicConfig]):
    """No calibration data are needed: kernels take each request's own range."""

    format = "tflite"
    precision = "int8-dynamic"
    paper = "Jacob et al. 2018, arXiv:1712.05877; TFLite's dynamic range quantisation"
    config = TFLiteDynamicConfig

    def export(self, source: Source, path: Path, config: TFLiteDynamicConfig) -> None:
        """Quantises what `TFLiteFp32` wrote."""

        def plan(worker: Any) -> None:
            for operator, per_channel in (("*", True), ("FULLY_CONNECTED", config.linear_per_channel), (ONE_SCALE, False)):
                options = {"granularity": granularity(per_channel), "algorithm_key": algorithm(config.scales)}
                worker.add_dynamic_config(regex=".*", operation_name=operator, num_bits=8, **options)

        export_mixed(source.quantisable, path, config, plan)
