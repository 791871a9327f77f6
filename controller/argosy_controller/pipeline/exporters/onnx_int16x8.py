"""ONNX with 16-bit activations and 8-bit weights, in QDQ form (opset 21: onnxruntime from 1.18)."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.onnx_quantise import calibrated, export_mixed, only_products, quantise_static
from argosy_controller.pipeline.exporters.options import StaticConfig

SLOWER = "onnxruntime has no 16-bit kernels on processors: it rounds to 16 bits between float operators, which is slower than fp32"


class OnnxInt16x8(Exporter[StaticConfig]):
    """For engines with 16-bit kernels (NPUs), and where 8-bit activations cost too much: the size of int8."""

    format = "onnx"
    precision = "int16x8"
    paper = "Jacob et al. 2018, arXiv:1712.05877; 16-bit activations as in TFLite's 16x8 scheme"
    config = StaticConfig

    def export(self, source: Source, path: Path, config: StaticConfig) -> None:
        """Quantises what `OnnxFp32` wrote."""
        from onnxruntime.quantization import QuantType

        ranges = calibrated(source, config, symmetric=False)

        def quantise(file: Path, floats: list[str], to: Path) -> None:
            types = {"activation_type": QuantType.QUInt16, "weight_type": QuantType.QInt8}
            quantise_static(file, to, ranges, floats, per_channel=config.per_channel, **types, **only_products(source))

        export_mixed(source, path, config, quantise)
        source.note(path, SLOWER)
