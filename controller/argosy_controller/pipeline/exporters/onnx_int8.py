"""ONNX with 8-bit weights and activations: onnxruntime's static quantiser in QDQ form; inputs and outputs stay float."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_quantise import calibrated, export_mixed, only_products, quantise_static
from argosy_controller.pipeline.exporters.options import StaticConfig


class OnnxInt8Config(StaticConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        symmetric: activations in int8 around 0, as Arm's kernels like best; else uint8 over the range that was seen.
        reduce_range: weights keep 7 of their 8 bits: processors without VNNI add pairs of 8-bit products in 16 bits, which
            overflows with full weights, so the same file would answer differently there, and fail its golden probes.
    """

    symmetric: Annotated[bool, Meta(description="activations in int8 around 0, as Arm's kernels like best")] = False
    reduce_range: Annotated[bool, Meta(description="weights keep 7 bits: without it x86 without VNNI answers differently")] = True


class OnnxInt8(Exporter[OnnxInt8Config]):
    """Weights symmetric, per channel and 7 bits, activations uint8 over their range from calibration data."""

    format = "onnx"
    precision = "int8"
    paper = "Jacob et al. 2018, Quantization and training of neural networks for integer-arithmetic-only inference, arXiv:1712.05877"
    config = OnnxInt8Config

    def export(self, source: Source, path: Path, config: OnnxInt8Config) -> None:
        """Quantises what `OnnxFp32` wrote."""
        from onnxruntime.quantization import QuantType

        ranges = calibrated(source, config, config.symmetric)
        part = only_products(source)

        def quantise(file: Path, floats: list[str], to: Path) -> None:
            quantise_static(
                file,
                to,
                ranges,
                floats,
                per_channel=config.per_channel,
                reduce_range=config.reduce_range,
                activation_type=QuantType.QInt8 if config.symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=part["op_types_to_quantize"],
                extra_options={"ActivationSymmetric": config.symmetric} | part["extra_options"],
            )

        export_mixed(source, path, config, quantise)
