"""TFLite files in tflite-runtime or in its successor ai-edge-litert: the same interface from two modules."""

from __future__ import annotations

import importlib
import queue
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import Card, TensorSpec
from argosy_agent.runtimes.session import Array, ModelFailed, Signature, first_line, is_string, same_dtype, shape_text


@dataclass(frozen=True)
class _Port:
    """One input or output of the file and the card's wish for it: `index` is the tensor's number in the file."""

    spec: TensorSpec
    index: int


class TfliteSession:
    """Interpreters serve one run at a time, so runs take one from a pool of `copies` and wait while none is free."""

    def __init__(self, path: Path, card: Card, module: str, threads: int, copies: int) -> None:
        self.signature = Signature(card.inputs)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        interpreter_class = importlib.import_module(f"{module}.interpreter").Interpreter
        try:
            interpreters = [_allocated(interpreter_class(model_path=str(path), num_threads=threads)) for _ in range(copies)]
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            raise InvalidInput(f"{module} cannot load {path.name}: {first_line(error)}") from error
        self._inputs = _ports(card.inputs, interpreters[0].get_input_details(), "inputs", path.name)
        self._outputs = _ports(card.outputs, interpreters[0].get_output_details(), "outputs", path.name)
        for interpreter in interpreters:
            self._free.put(interpreter)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        self.signature.check(inputs)
        self._check_sizes(inputs)
        interpreter = self._free.get()
        try:
            return self._run(interpreter, inputs)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ModelFailed(f"the TFLite interpreter failed on the model: {first_line(error)}") from error
        finally:
            self._free.put(interpreter)

    def _check_sizes(self, inputs: Mapping[str, Array]) -> None:
        """Nothing at all fits where a size is free, but tflite-runtime 2.14 dies of it."""
        empty = next((port.spec for port in self._inputs if None in port.spec.shape and 0 in inputs[port.spec.name].shape), None)
        if empty is not None:
            shape = list(inputs[empty.name].shape)
            raise InvalidInput(f"input {empty.name!r} has shape {shape}, which holds nothing: give at least one example")

    def _run(self, interpreter: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._resize(interpreter, inputs)
        for port in self._inputs:
            interpreter.set_tensor(port.index, inputs[port.spec.name])
        interpreter.invoke()
        return {port.spec.name: interpreter.get_tensor(port.index) for port in self._outputs}

    def _resize(self, interpreter: Any, inputs: Mapping[str, Array]) -> None:
        """Fits the interpreter to free dimensions of these inputs; it keeps the shape of the last run."""
        free = [port for port in self._inputs if None in port.spec.shape]
        if not free:
            return
        now = {detail["index"]: tuple(detail["shape"]) for detail in interpreter.get_input_details()}
        changed = [port for port in free if now[port.index] != inputs[port.spec.name].shape]
        for port in changed:
            interpreter.resize_tensor_input(port.index, inputs[port.spec.name].shape)
        if changed:
            interpreter.allocate_tensors()


def _allocated(interpreter: Any) -> Any:
    interpreter.allocate_tensors()
    return interpreter


def _ports(specs: list[TensorSpec], details: list[dict[str, Any]], what: str, file: str) -> list[_Port]:
    """The file's tensors in the card's order, which is theirs by position: converters rename them."""
    if len(specs) != len(details):
        raise InvalidInput(f"{file} has {len(details)} {what}, its card {len(specs)}: they do not belong together")
    return [_port(spec, detail, file) for spec, detail in zip(specs, details, strict=True)]


def _port(spec: TensorSpec, detail: dict[str, Any], file: str) -> _Port:
    dtype = np.dtype(detail["dtype"])
    if is_string(spec.dtype) or not same_dtype(spec.dtype, dtype):
        raise InvalidInput(f"{spec.name!r} is {dtype} in {file} and {spec.dtype} on its card: they do not belong together")
    declared = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]  # -1: free; older files have none
    signature = [None if size < 0 else int(size) for size in declared]
    clash = len(signature) != len(spec.shape) or any(
        mine is not None and theirs is not None and mine != theirs for mine, theirs in zip(spec.shape, signature, strict=True)
    )
    if clash:
        raise InvalidInput(
            f"{spec.name!r} has shape {shape_text(signature)} in {file} and {shape_text(spec.shape)} on its card: they do not belong together"
        )
    return _Port(spec, detail["index"])
