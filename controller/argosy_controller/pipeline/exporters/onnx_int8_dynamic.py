"""ONNX with 8-bit weights; activations are quantised while the model runs, over the range that each request has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_graph import quiet, save
from argosy_controller.pipeline.exporters.onnx_quantise import export_mixed
from argosy_controller.pipeline.exporters.options import MixedConfig


class OnnxInt8DynamicConfig(MixedConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        reduce_range: weights keep 7 bits, as in onnx-int8.
    """

    reduce_range: Annotated[bool, Meta(description="weights keep 7 bits: without it x86 without VNNI answers differently")] = True


class OnnxInt8Dynamic(Exporter[OnnxInt8DynamicConfig]):
    """No calibration data are needed. Weights have one scale a tensor: onnxruntime's integer convolution takes no more."""

    format = "onnx"
    precision = "int8-dynamic"
    paper = "Jacob et al. 2018, arXiv:1712.05877; ranges while it runs as in onnxruntime's DynamicQuantizeLinear"
    config = OnnxInt8DynamicConfig

    def export(self, source: Source, path: Path, config: OnnxInt8DynamicConfig) -> None:
        """Quantises what `OnnxFp32` wrote."""
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        def quantise(file: Path, floats: list[str], to: Path) -> None:
            kept = [*floats, *(f"{one}_MatMul" for one in floats)]  # a Gemm becomes a product of that name first
            with quiet():
                quantize_dynamic(
                    file, to, per_channel=False, reduce_range=config.reduce_range, weight_type=QuantType.QUInt8, nodes_to_exclude=kept
                )
            save(onnx.load(to), to)

        export_mixed(source, path, config, quantise)
