"""TFLite with 8-bit weights and activations, by ai-edge-quantizer; inputs and outputs stay float."""

from __future__ import annotations

from pathlib import Path

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.tflite_fp32 import TFLiteFp32
from argosy_controller.pipeline.options import Config

_SIGNATURE = "serving_default"


class TFLiteInt8(Exporter[Config]):
    """Recipe `static_wi8_ai8`: min-max ranges from calibration data, weights per channel."""

    format = "tflite"
    precision = "int8"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Quantises what `TFLiteFp32` wrote."""
        from ai_edge_quantizer import qtyping, quantizer, recipe

        worker = quantizer.Quantizer(str(source.file(TFLiteFp32())), recipe.static_wi8_ai8())
        for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            worker.update_quantization_recipe(regex=".*", operation_name=end, algorithm_key="no_quantize")
        examples = [source.arrays(slice(i, i + 1)) for i in range(len(source.calibration))]
        ranges = worker.calibrate({_SIGNATURE: examples})
        path.write_bytes(worker.quantize(ranges).quantized_model)
