"""TFLite with 8-bit weights and activations, by ai-edge-quantizer; inputs and outputs stay float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.options import StaticConfig
from argosy_controller.pipeline.exporters.tflite_quantise import ONE_SCALE, Plan, Scales, algorithm, calibrated, export_mixed, granularity

#: Names of operators (patterns), their kinds.
What = Sequence[tuple[str, str]]
EVERYTHING: What = ((".*", "*"), (".*", ONE_SCALE))
_LEAVES = r"(?:.*\.)?leaves:.*"
#: Products whose results are looked at more closely the smaller they are (distances): 8 bits take the range of each request.
_KERNELS = r"(?:.*\.)?kernel[.:].*"
#: What an estimator has that is large and bears 8 bits: products with weights, leaves.
PRODUCTS: What = ((".*", "FULLY_CONNECTED"), (".*", ONE_SCALE), (_LEAVES, "GATHER_ND"), (_LEAVES, "GATHER"))


class TFLiteStaticConfig(StaticConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        scales: how weights' scales are chosen: `minmax` covers the largest; `mse` and `octav` (Sakr et al. 2022,
            arXiv:2206.06501) cut it where that makes the squared error smaller.
        whole_estimator: the scaler, comparisons, sums and last steps of an estimator in few bits too, from its columns as they
            are. For engines that have integers alone; where columns have different units the answers are often noise.
    """

    scales: Annotated[Scales, Meta(description="how scales of weights are chosen")] = "minmax"
    whole_estimator: Annotated[bool, Meta(description="of an estimator, the scaler, comparisons and last steps in few bits too")] = False


class TFLiteInt8(Exporter[TFLiteStaticConfig]):
    """Weights symmetric, per channel, in 8 bits, activations int8 over their range from calibration data."""

    format = "tflite"
    precision = "int8"
    paper = "Jacob et al. 2018, Quantization and training of neural networks for integer-arithmetic-only inference, arXiv:1712.05877"
    config = TFLiteStaticConfig

    def export(self, source: Source, path: Path, config: TFLiteStaticConfig) -> None:
        """Quantises what `TFLiteFp32` wrote."""
        export_static(source, path, config, 8)


def export_static(source: Source, path: Path, config: TFLiteStaticConfig, bits: int) -> None:
    """Activations in so many bits over fixed ranges, symmetric where they have 16; of an estimator only what bears it."""
    base = source if config.whole_estimator else source.quantisable
    plan = static_plan(config, bits, PRODUCTS if base.lowered else EVERYTHING)
    export_mixed(base, path, config, plan, calibrated(base, config, symmetric=bits == 16))


def static_plan(config: TFLiteStaticConfig, bits: int, what: What = EVERYTHING) -> Plan:
    """Fixed ranges of so many bits for activations, 8 bits for weights.

    A product of matrices takes one scale for its weights: with more, every runtime answers wrongly without a word.
    """

    def plan(worker: Any) -> None:
        for names, operator in what:
            worker.add_static_config(
                regex=names,
                operation_name=operator,
                activation_num_bits=bits,
                weight_num_bits=8,
                weight_granularity=granularity(config.per_channel and operator != ONE_SCALE),
                algorithm_key=algorithm(config.scales),
            )

        if bits == 8 and what is PRODUCTS:
            worker.add_dynamic_config(
                regex=_KERNELS,
                operation_name="FULLY_CONNECTED",
                num_bits=8,
                granularity=granularity(False),
                algorithm_key=algorithm(config.scales),
            )

    return plan
