"""The kinds of file that a recipe's variants can be. Adding one is a file here, and a line below."""

from __future__ import annotations

from typing import Any

from argosy_controller.pipeline.exporters.coreml_fp16 import CoreMLFp16
from argosy_controller.pipeline.exporters.coreml_fp32 import CoreMLFp32
from argosy_controller.pipeline.exporters.coreml_int8_weights import CoreMLInt8Weights
from argosy_controller.pipeline.exporters.coreml_packed import CoreMLPacked
from argosy_controller.pipeline.exporters.interface import Exporter
from argosy_controller.pipeline.exporters.onnx_fp32 import OnnxFp32
from argosy_controller.pipeline.exporters.onnx_int4 import OnnxInt4
from argosy_controller.pipeline.exporters.onnx_int8 import OnnxInt8
from argosy_controller.pipeline.exporters.onnx_int8_dynamic import OnnxInt8Dynamic
from argosy_controller.pipeline.exporters.onnx_int16x8 import OnnxInt16x8
from argosy_controller.pipeline.exporters.onnx_packed import OnnxPacked
from argosy_controller.pipeline.exporters.tflite_fp32 import TFLiteFp32
from argosy_controller.pipeline.exporters.tflite_int4 import TFLiteInt4
from argosy_controller.pipeline.exporters.tflite_int8 import TFLiteInt8
from argosy_controller.pipeline.exporters.tflite_int8_dynamic import TFLiteInt8Dynamic
from argosy_controller.pipeline.exporters.tflite_int16x8 import TFLiteInt16x8

EXPORTERS: dict[str, Exporter[Any]] = {
    one.name: one
    for one in (
        OnnxFp32(),
        OnnxInt8(),
        OnnxInt16x8(),
        OnnxInt8Dynamic(),
        OnnxInt4(),
        OnnxPacked(),
        TFLiteFp32(),
        TFLiteInt8(),
        TFLiteInt16x8(),
        TFLiteInt8Dynamic(),
        TFLiteInt4(),
        CoreMLFp32(),
        CoreMLFp16(),
        CoreMLPacked(),
        CoreMLInt8Weights(),
    )
}
