"""Runs model files in their real runtimes, one thread, by public names. Only job processes import this.

Public names follow one rule (argosy.protocol.card.TensorSpec): they are in the order of the file's own inputs and
outputs. An ONNX file's names are public as they are. A TFLite file's are those of its signature where it has one, else
its tensors'.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.task import Array

_ONNX_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}


class Engine(ABC):
    """A loaded model.

    Attributes:
        runtime: its name, as devices report it.
        inputs, outputs: what the file declares, with public names.
        interprets: it computes what the file says, but is no runtime that serves: its speed and its last digits mean nothing.
    """

    interprets = False
    runtime: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]

    @abstractmethod
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers one request. Inputs have the declared dtypes and shapes; a free dimension may have any size."""


class OnnxEngine(Engine):
    """onnxruntime on the CPU."""

    runtime = "onnxruntime"

    def __init__(self, path: Path, plain: bool = False) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if plain:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [_onnx_spec(one) for one in self._session.get_inputs()]
        self.outputs = [_onnx_spec(one) for one in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the session does."""
        names = [one.name for one in self.outputs]
        results = self._session.run(names, dict(inputs))
        return {spec.name: _plain(result, spec) for spec, result in zip(self.outputs, results, strict=True)}


def _onnx_spec(node: Any) -> TensorSpec:
    dtype = _ONNX_DTYPES.get(node.type)
    if dtype is None:
        raise InvalidInput(
            f"{node.name!r} of the model is a {node.type}, which is no tensor that can be served: "
            "export the model with tensors (skl2onnx: options={'zipmap': False})"
        )
    return TensorSpec(name=node.name, dtype=dtype, shape=[one if isinstance(one, int) and one > 0 else None for one in node.shape])


def _plain(result: Any, spec: TensorSpec) -> Array:
    """onnxruntime gives texts as objects; as numpy strings they can be written without pickle."""
    return np.asarray(result, dtype=str) if spec.dtype == "str" else np.asarray(result)


class TFLiteEngine(Engine):
    """LiteRT, the maintained successor of the TFLite runtime."""

    runtime = "ai-edge-litert"

    def __init__(self, path: Path, plain: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        self._interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=kernels)
        self._interpreter.allocate_tensors()
        self._ins = self._interpreter.get_input_details()
        self._outs = self._interpreter.get_output_details()
        names = _signature_names(self._interpreter)
        self.inputs = [_tflite_spec(one, names) for one in self._ins]
        self.outputs = [_tflite_spec(one, names) for one in self._outs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Sets inputs by position, resizing free dimensions where a request needs it."""
        arrays = [inputs[spec.name] for spec in self.inputs]
        self._fit(arrays)
        for detail, array in zip(self._ins, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return {spec.name: self._interpreter.get_tensor(one["index"]) for spec, one in zip(self.outputs, self._outs, strict=True)}

    def _fit(self, arrays: list[Array]) -> None:
        changed = [i for i, array in enumerate(arrays) if tuple(self._ins[i]["shape"]) != array.shape]
        for i in changed:
            self._interpreter.resize_tensor_input(self._ins[i]["index"], arrays[i].shape, strict=True)
        if changed:
            self._interpreter.allocate_tensors()
            self._ins = self._interpreter.get_input_details()


def _signature_names(interpreter: Any) -> dict[int, str]:
    """Public names by tensor index, from the file's first signature; empty where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signatures = list(interpreter.get_signature_list())
        if not signatures:
            return {}
        runner = interpreter.get_signature_runner(signatures[0])
        found = {**runner.get_input_details(), **runner.get_output_details()}
    return {detail["index"]: name for name, detail in found.items()}


def _tflite_spec(detail: Any, names: Mapping[int, str]) -> TensorSpec:
    declared = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    shape = [int(one) if one >= 0 else None for one in declared]
    return TensorSpec(name=names.get(detail["index"], detail["name"]), dtype=_tflite_dtype(detail), shape=shape)


def _tflite_dtype(detail: Any) -> str:
    dtype = np.dtype(detail["dtype"])
    return "str" if dtype.kind in "OSU" else dtype.name


ENGINES: dict[str, type[OnnxEngine | TFLiteEngine]] = {"onnx": OnnxEngine, "tflite": TFLiteEngine}


def open_model(model_format: str, path: Path, plain: bool = False) -> Engine | None:
    """The file in its runtime; None where nothing here can run it (`why_not`): Core ML files are interpreted, but on macOS.

    Args:
        plain: with other kernels: unfused (onnxruntime), or without XNNPACK (LiteRT; these are the TFLite runtime's).
            They stand for what another device may answer.
    """
    if model_format == "coreml":
        return _coreml(path)
    engine = ENGINES.get(model_format)
    return engine(path, plain) if engine else None


def _coreml(path: Path) -> Engine | None:
    from argosy_controller.pipeline.coreml.engine import open_coreml

    try:
        return open_coreml(path)
    except InvalidInput:
        return None


def why_not(model_format: str, path: Path) -> str:
    """Why `open_model` gave None, as part of a sentence."""
    from argosy_controller.pipeline.coreml.engine import open_coreml

    if model_format != "coreml":
        return f"no engine on this machine runs the format {model_format}"
    try:
        open_coreml(path)
    except InvalidInput as error:
        return str(error)
    return ""
