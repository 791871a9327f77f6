"""From torch to a Core ML package, by coremltools: which way works, for batches of any size where one does, the same bytes each time.

A trace keeps what the example did, a batch's size with it where the model's code counts with it, and coremltools lacks operators
for either way into it. So ways are tried in turn: a trace, then torch.export; first for batches of any size, where the converted
program must answer a batch that no example had as the model does (coreml.interpreter), then for one example at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.coreml.interpreter import Interpreter
from argosy_controller.pipeline.coreml.program import read_program
from argosy_controller.pipeline.exporters.coreml_files import opened, write_package
from argosy_controller.pipeline.exporters.coreml_names import check_names
from argosy_controller.pipeline.exporters.coreml_ways import LARGEST_BATCH, Way, exported, locating, traced, unfused
from argosy_controller.pipeline.exporters.coreml_where import teach_where
from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.training import forward

#: Of an output's size, how far a program may be off on a batch: another computation is further off.
_LOOSE = 1e-3


@dataclass(frozen=True)
class Precision:
    """In which numbers a program computes, and for which system it is at the earliest, as coremltools names them."""

    numbers: str
    system: str = "iOS15"


def convert(source: Source, path: Path, precision: Precision) -> None:
    """Writes a package to `path`; a note says when it takes one example at a time.

    Raises:
        InvalidInput: names cannot be in a Core ML file, or an output is of numbers that it has not.
        Exception: no way works: what torch or coremltools said of the first (refusals.refusal).
    """
    check_names(source.calibration.inputs, source.outputs)
    failures: list[Exception] = []
    for flexible in (True, False):
        for way in (traced, exported):
            try:
                model = _converted(source, way, flexible, precision)
                write_package(model, path, source.folder)
                if flexible:
                    _check_batches(source, path, precision)
                else:
                    source.note(path, f"takes one example at a time: {_reason(failures)}")
                return
            except InvalidInput:
                raise
            except _UnknownError as error:
                failures.append(error)
                break  # the other way has the operator too
            except Exception as error:  # torch and coremltools raise what they like
                failures.append(error)
    raise failures[0]


def _reason(failures: list[Exception]) -> str:
    found = next((str(one) for one in failures if isinstance(one, _BatchError)), "")
    return found or f"for more it does not convert ({refusal(failures[0])[:200]})"


class _BatchError(Exception):
    """A program does not do for a batch what the model does."""


class _UnknownError(_BatchError):
    """Nobody knows: the program cannot be run here."""


def _converted(source: Source, way: Way, flexible: bool, precision: Precision) -> Any:
    import coremltools

    teach_where()
    example = source.example(2 if flexible else 1)
    batch = coremltools.RangeDim(1, LARGEST_BATCH, default=1) if flexible else 1
    with torch.no_grad(), unfused():
        answers = forward(source.network, list(example.values()))
        program = way(source.network, tuple(example.values()))
    shapes = {name: (batch, *one.shape[1:]) for name, one in example.items()}
    inputs = [coremltools.TensorType(name=name, shape=shapes[name], dtype=_dtype("input", name, one)) for name, one in example.items()]
    outputs = [
        coremltools.TensorType(name=name, dtype=_dtype("output", name, one)) for name, one in zip(source.outputs, answers, strict=True)
    ]
    with locating(program):
        return coremltools.convert(
            program,
            inputs=inputs,
            outputs=outputs,
            convert_to="mlprogram",
            compute_precision=getattr(coremltools.precision, precision.numbers),
            minimum_deployment_target=getattr(coremltools.target, precision.system),
        )


def _dtype(kind: str, name: str, tensor: torch.Tensor) -> type[np.generic]:
    if tensor.is_complex():
        raise InvalidInput(f"{kind} {name!r} is of complex numbers, which a Core ML file has not: give real and imaginary parts")
    return np.float32 if tensor.is_floating_point() else np.int32


@contextmanager
def for_packing(source: Source, path: Path) -> Iterator[Any]:
    """coremltools' model in single precision for iOS 16, on which weights can be packed; converted once for a source."""
    made = source.file(_ForPacking())
    for one in source.notes.get(made, []):
        source.note(path, one)
    with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
        yield opened(made, Path(scratch))


class _ForPacking(Exporter[Config]):
    """No variant of its own: what packed ones start from."""

    format = "coreml"
    precision = "for-packing"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts."""
        convert(source, path, Precision("FLOAT32", "iOS16"))


def _check_batches(source: Source, path: Path, precision: Precision) -> None:
    """That the program answers three examples at once as the model does; in half precision, as it answers each alone.

    Raises:
        _BatchError: it does not, or it cannot be run here.
    """
    example = {name: torch.cat([one] * 3)[:3] for name, one in source.example(3).items()}
    try:
        program = read_program(path)
        runner = Interpreter(program)
        given = {one.name: example[one.name].to(getattr(torch, one.dtype)) for one in program.inputs}
        got = runner.run(given)
        alone = [runner.run({name: one[i : i + 1] for name, one in given.items()}) for i in range(3)]
    except InvalidInput as error:
        unknown = "has no operator" in str(error)
        raise _BatchError(
            f"larger batches cannot be verified here ({error})" if unknown else "converted for more, it does not run"
        ) from error
    if precision.numbers == "FLOAT32":
        with torch.no_grad():
            wanted = dict(zip(source.outputs, forward(source.network, list(example.values())), strict=True))
    else:
        wanted = {name: torch.cat([one[name] for one in alone]) for name in source.outputs}
    for name, one in wanted.items():
        size = max(1.0, float(one.double().abs().max())) if one.numel() else 1.0
        if got[name].shape != one.shape or not float((got[name].double() - one.double()).abs().max()) <= _LOOSE * size:
            raise _BatchError(f"converted for more, it gives another output {name!r}")
