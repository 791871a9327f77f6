"""TFLite with 8-bit weights and activations, by ai-edge-quantizer; inputs and outputs stay float."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.options import StaticConfig
from argosy_controller.pipeline.exporters.tflite_quantise import ONE_SCALE, Scales, algorithm, calibrated, export_mixed, granularity


class TFLiteStaticConfig(StaticConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        scales: how weights' scales are chosen: `minmax` covers the largest; `mse` and `octav` (Sakr et al. 2022,
            arXiv:2206.06501) cut it where that makes the squared error smaller.
    """

    scales: Annotated[Scales, Meta(description="how scales of weights are chosen")] = "minmax"


class TFLiteInt8(Exporter[TFLiteStaticConfig]):
    """Weights symmetric, per channel, in 8 bits, activations int8 over their range from calibration data."""

    format = "tflite"
    precision = "int8"
    paper = "Jacob et al. 2018, Quantization and training of neural networks for integer-arithmetic-only inference, arXiv:1712.05877"
    config = TFLiteStaticConfig

    def export(self, source: Source, path: Path, config: TFLiteStaticConfig) -> None:
        """Quantises what `TFLiteFp32` wrote."""
        export_mixed(source, path, config, static_plan(config, 8), calibrated(source, config, symmetric=False))


def static_plan(config: TFLiteStaticConfig, bits: int) -> Any:
    """Fixed ranges of so many bits for activations, 8 bits for weights.

    A product of matrices takes one scale for its weights: with more, every runtime answers wrongly without a word.
    """

    def plan(worker: Any) -> None:
        for operator, per_channel in (("*", config.per_channel), (ONE_SCALE, False)):
            worker.add_static_config(
                regex=".*",
                operation_name=operator,
                activation_num_bits=bits,
                weight_num_bits=8,
                weight_granularity=granularity(per_channel),
                algorithm_key=algorithm(config.scales),
            )

    return plan
