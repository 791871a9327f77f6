"""Variants that people ask for and that are not there: why, and what comes nearest."""

from __future__ import annotations

_COREML = "no engine here runs Core ML, so nothing quantised of it could be measured: take coreml-fp16"
_HALF = "processors compute it in single precision after all: take {}-int8 for a smaller file"

#: By name, the end of the sentence "there is no variant 'coreml-int4'".
ABSENT = {
    **{f"coreml-{one}": f": {_COREML}" for one in ("fp32", "int8", "int8-dynamic", "int16x8", "int4", "packed")},
    "onnx-fp16": f": {_HALF.format('onnx')}",
    "tflite-fp16": f": {_HALF.format('tflite')}",
    "tflite-packed": ": TFLite has no operators that unpack bits when a file is loaded: take onnx-packed, or tflite-int4",
}
