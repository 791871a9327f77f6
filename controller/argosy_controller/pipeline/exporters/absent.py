"""Variants that people ask for and that are not there: why, and what comes nearest."""

from __future__ import annotations

_COREML = "only weights are quantised in Core ML files here: take coreml-int8-weights, or coreml-fp16"
_COREML_INT4 = "take coreml-packed with method = 'kmeans' and bits = 4"
_HALF = "processors compute it in single precision after all: take {}-int8 for a smaller file"
_WEIGHTS = "its runtimes quantise activations while they run where weights have 8 bits: take {}-int8-dynamic"

#: By name, the end of the sentence "there is no variant 'coreml-int4'".
ABSENT = {
    **{f"coreml-{one}": f": {_COREML}" for one in ("int8", "int8-dynamic", "int16x8")},
    "coreml-int4": f": {_COREML_INT4}",
    "onnx-fp16": f": {_HALF.format('onnx')}",
    "tflite-fp16": f": {_HALF.format('tflite')}",
    **{f"{one}-int8-weights": f": {_WEIGHTS.format(one)}" for one in ("onnx", "tflite")},
    "tflite-packed": ": TFLite has no operators that unpack bits when a file is loaded: take onnx-packed, or tflite-int4",
}
