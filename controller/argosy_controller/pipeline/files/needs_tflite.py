"""What a TFLite file asks of a runtime: its operators in their versions, and the cases that the older runtime gets wrong.

tflite-runtime 2.14.0 is the last of its line; ai-edge-litert goes on. A file may use an operator of a version that the older
one does not have: it refuses the file. Worse are files that it runs and answers wrongly; those that are known are looked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The runtimes of a file that the older one must not get.
NEWER_ONLY = ("ai-edge-litert",)
_OLDER = "tflite-runtime 2.14, the last there is,"
_FOR_NEWER = "for ai-edge-litert alone: "

#: The newest version of each operator that tflite-runtime 2.14.0 registers (TensorFlow 2.14, lite/core/kernels/register.cc),
#: as the runtime itself says when it is asked for each; every older version is there too, but for BROADCAST_TO 1.
_NEWEST_IN_OLDER = {
    name: version
    for version, names in {
        1: "ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL COMPLEX_ABS CONV_3D "
        "CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS FLOOR HARD_SWISH "
        "HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION "
        "LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION MATRIX_DIAG MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 "
        "NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE REAL REDUCE_ALL "
        "REDUCE_ANY RELU_0_TO_1 RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT ROUND SCATTER_ND SEGMENT_SUM SHAPE SIN "
        "SKIP_GRAM SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM "
        "VAR_HANDLE WHILE ZEROS_LIKE",
        2: "DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU LESS_EQUAL LOG_SOFTMAX RANGE "
        "REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE SQUEEZE SUM WHERE",
        3: "ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO EMBEDDING_LOOKUP "
        "FLOOR_DIV GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NOT_EQUAL QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 "
        "REVERSE_V2 RNN SOFTMAX SPARSE_TO_DENSE TANH TILE TOPK_V2 UNIDIRECTIONAL_SEQUENCE_RNN",
        4: "BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM MINIMUM PACK PAD PADV2 RESIZE_BILINEAR "
        "RESIZE_NEAREST_NEIGHBOR SELECT SPACE_TO_BATCH_ND SPLIT SVDF TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK",
        5: "ABS ADD CAST DEQUANTIZE SUB",
        6: "GATHER SLICE TRANSPOSE",
        7: "CONV_2D DEPTHWISE_CONV_2D MUL",
        8: "STRIDED_SLICE",
        10: "FULLY_CONNECTED",
    }.items()
    for name in names.split()
}
_LEAST_IN_OLDER = {"BROADCAST_TO": 2}
#: Operators of their own names that both runtimes bring (same source).
_CUSTOM = frozenset({"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"})

#: Numbers of TensorType in TFLite's schema; 4 bits came last in that of 2.14.
_FLOAT32, _INT16, _INT8, _INT4 = 0, 7, 9, 17
#: Operators that it has, but not for such inputs, whatever version the file gives them (quantising changes types and leaves
#: versions). Each was run alone in both runtimes, for some seventy operators in 8 and in 16 bits: of SUM in 16 bits its answer is wrong.
_NOT_FOR = {
    _INT8: frozenset({"DIV", "LOG", "NEG", "SQRT"}),
    _INT16: frozenset(
        {"DIV", "DYNAMIC_UPDATE_SLICE", "GELU", "GREATER", "LESS_EQUAL", "LOG", "NEG", "NOT_EQUAL", "PRELU", "RSQRT", "SQRT", "SUM", "TILE"}
    ),
}


@dataclass(frozen=True)
class Tensor:
    """What is asked of a tensor. `scales`: how many it has; `rows`: elements over the size of its last dimension, 0 where free."""

    kind: int
    scales: int
    rows: int


@dataclass(frozen=True)
class Operator:
    """One use of an operator; an input that is left out is None."""

    name: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...] = ()

    def input(self, place: int) -> Tensor | None:
        """None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None


def used(file: Path) -> list[Operator]:
    """Every operator of every graph of a file, in order.

    Raises:
        Exception: whatever reading a damaged file raises.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(file.read_bytes(), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [_code(model.OperatorCodes(i), names) for i in range(model.OperatorCodesLength())]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return [one for graph in graphs for one in _operators(graph, codes)]


def _code(code: Any, names: dict[int, str]) -> tuple[str, int]:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # files of before 2020 have the second alone
    name = names.get(number, f"operator {number}")
    return (code.CustomCode() or b"").decode("utf-8", "replace") if name == "CUSTOM" else name, code.Version()


def _operators(graph: Any, codes: list[tuple[str, int]]) -> Iterator[Operator]:
    free = any(-1 in _signature(graph.Tensors(graph.Inputs(i))) for i in range(graph.InputsLength()))
    tensors = [_tensor(graph.Tensors(i), free) for i in range(graph.TensorsLength())]
    for i in range(graph.OperatorsLength()):
        one = graph.Operators(i)
        places = [one.Inputs(j) for j in range(one.InputsLength())]
        outputs = [tensors[one.Outputs(j)] for j in range(one.OutputsLength())]
        name, version = codes[one.OpcodeIndex()]
        yield Operator(name, version, tuple(tensors[place] if place >= 0 else None for place in places), tuple(outputs))


def _tensor(tensor: Any, free: bool) -> Tensor:
    """What is asked of it. `free`: an input's size is; a quantizer's own tensors do not say that theirs is too."""
    how, signature = tensor.Quantization(), _signature(tensor)
    shape = signature or [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    rows = 0 if -1 in shape or (free and not signature) else math.prod(shape[:-1])
    return Tensor(tensor.Type(), 0 if how is None else how.ScaleLength(), rows)


def _signature(tensor: Any) -> list[int]:
    return [tensor.ShapeSignature(i) for i in range(tensor.ShapeSignatureLength())]


def why_newer_only(operators: list[Operator]) -> str:
    """Why tflite-runtime 2.14 must not get a file, in a sentence for reports; empty where nothing is known against it."""
    for check in (_missing, _types, _wrong):
        reason = next((found for one in operators if (found := check(one))), "")
        if reason:
            return f"{_FOR_NEWER}{_OLDER} {reason}"
    return ""


def _missing(one: Operator) -> str:
    if one.name in _CUSTOM or _LEAST_IN_OLDER.get(one.name, 1) <= one.version <= _NEWEST_IN_OLDER.get(one.name, 0):
        return ""
    return f"does not have {one.name} of version {one.version}"


def _types(one: Operator) -> str:
    kinds = {tensor.kind for tensor in (*one.inputs, *one.outputs) if tensor is not None}
    if _INT4 in kinds:  # in the words of the exporter that makes them, so that a report says it once
        return "answers wrongly with 4-bit weights, or not at all"
    if any(kind > _INT4 for kind in kinds):
        return "does not know one of the file's types of numbers"
    data = one.input(0)
    widens = one.name == "QUANTIZE" and data is not None and data.kind == _INT8 and _INT16 in kinds
    if data is not None and (widens or one.name in _NOT_FOR.get(data.kind, ())):
        return f"does not compute {one.name} in {16 if _INT16 in kinds else 8} bits"
    if one.name == "BATCH_MATMUL" and {_INT16, _INT8} <= kinds:
        return "does not compute BATCH_MATMUL of 16 by 8 bits"
    return ""


def _wrong(one: Operator) -> str:
    """Cases that it answers wrongly without an error: seen operator by operator, both runtimes given the same file."""
    data, weights = one.input(0), one.input(1)
    if data is None or weights is None or weights.kind != _INT8 or weights.scales < 2:
        return ""
    if one.name == "EMBEDDING_LOOKUP":  # it takes the table's first scale for all
        return "answers wrongly where a table of embeddings has a scale for each row"
    if one.name == "FULLY_CONNECTED" and data.kind == _FLOAT32:  # it takes the first scale for all
        return "answers wrongly where a linear layer has a scale for each output and quantises its inputs as they come"
    if one.name == "FULLY_CONNECTED" and data.kind == _INT16 and one.input(2) is not None and data.rows != 1:
        return "answers wrongly in 16 bits where a linear layer has a bias, a scale for each output and more than one row"
    return ""
