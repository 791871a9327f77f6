"""Core ML files behind the interface of engines: by Core ML itself on macOS, elsewhere by interpreting their program."""

from __future__ import annotations

import shutil
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.coreml.interpreter import Interpreter
from argosy_controller.pipeline.coreml.operators.given import bounded
from argosy_controller.pipeline.coreml.program import read_program
from argosy_controller.pipeline.files.engines import Engine
from argosy_controller.pipeline.task import Array


class MilEngine(Engine):
    """A program, interpreted. Its speed says nothing about Core ML's."""

    runtime = "MIL interpreter"
    interprets = True

    def __init__(self, path: Path) -> None:
        """Opens a package and runs it once, on zeros.

        Raises:
            InvalidInput: it is refused, or something in it is not known here.
        """
        program = read_program(path)
        self.inputs, self.outputs = list(program.inputs), list(program.outputs)
        self._interpreter = Interpreter(program)
        self.run({one.name: np.zeros(bounded([1 if size is None else size for size in one.shape]), one.dtype) for one in self.inputs})

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answers one request; integers of other sizes are taken where their values fit."""
        given = {one.name: torch.from_numpy(_fitting(inputs[one.name], one)) for one in self.inputs}
        found = self._interpreter.run(given)
        return {one.name: found[one.name].numpy().astype(one.dtype) for one in self.outputs}


def _fitting(array: Array, spec: TensorSpec) -> Array:
    sizes = array.ndim == len(spec.shape) and all(two in (None, one) for one, two in zip(array.shape, spec.shape, strict=True))
    converted = array.astype(spec.dtype)
    if not sizes or (array.dtype.kind in "iu" and not np.array_equal(converted, array)):
        raise InvalidInput(f"input {spec.name!r} takes {spec.dtype} of shape {spec.shape}, not {array.dtype} of shape {list(array.shape)}")
    return np.ascontiguousarray(converted)


class CoreMLEngine(Engine):
    """Core ML itself, on the processor. macOS only."""

    runtime = "coreml"

    def __init__(self, path: Path) -> None:
        """Compiles the package. Raises InvalidInput for one that is refused."""
        import coremltools

        program = read_program(path)  # looks at every name and size in the archive
        self.inputs, self.outputs = list(program.inputs), list(program.outputs)
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        (root,) = Path(folder).iterdir()
        self._model: Any = coremltools.models.MLModel(str(root), compute_units=coremltools.ComputeUnit.CPU_ONLY)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As Core ML predicts."""
        found = self._model.predict({one.name: _fitting(inputs[one.name], one) for one in self.inputs})
        return {one.name: np.asarray(found[one.name], dtype=one.dtype) for one in self.outputs}


def open_coreml(path: Path) -> Engine:
    """The engine for a Core ML file on this machine.

    Raises:
        InvalidInput: the file is refused, or it cannot be run here; the message says what is missing.
    """
    return CoreMLEngine(path) if sys.platform == "darwin" else MilEngine(path)
