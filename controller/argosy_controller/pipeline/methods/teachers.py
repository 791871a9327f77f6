"""Who teaches: the trained model itself, another task's model, or an ONNX file; all answer the student's inputs."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.files.engines import OnnxEngine
from argosy_controller.pipeline.files.formats import detect, prepared_onnx
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import TASK_FILE, Split, Task, load_task, task_class
from argosy_controller.pipeline.training import forward

ORIGINAL = "original"


class Teacher(ABC):
    """Answers inputs with what the student's first output should be."""

    @abstractmethod
    def answers(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The first output for a batch, without gradients."""


class TorchTeacher(Teacher):
    """A torch model; its layers can give hints."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()

    def answers(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        with torch.no_grad():
            return forward(self.model, inputs)[0]


class OnnxTeacher(Teacher):
    """A ready file in onnxruntime.

    Args:
        path: of the file, which is checked before it is opened.
        example: some of the student's training data.
        output: the student's first output.

    Raises:
        InvalidInput: it is no ONNX file, or its inputs and outputs are not the student's.
    """

    def __init__(self, path: Path, example: Split, output: str) -> None:
        self._engine = _engine(path)
        self._inputs = list(example.inputs)
        self._names = _matched_inputs(self._engine, example, path.name)
        self._output = _matched_output(self._engine, output, path.name)

    def answers(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        arrays = dict(zip(self._inputs, (one.numpy() for one in inputs), strict=True))
        split = Split({name: arrays[own] for name, own in self._names.items()}, np.zeros(len(inputs[0])))
        try:
            return torch.from_numpy(np.ascontiguousarray(predict(self._engine, split)[self._output]))
        except Exception as error:  # runtimes raise what they like
            raise InvalidInput(f"the teacher does not run on this task's data: {first_line(error)}") from error


def _engine(path: Path) -> OnnxEngine:
    if detect(path) != "onnx":
        raise InvalidInput(f"teacher {path.name} is no ONNX file: a teacher is {ORIGINAL!r}, a task's folder, or an ONNX file")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "teacher.onnx"
        prepared_onnx(path, file)
        try:
            return OnnxEngine(file)
        except ArgosyError:
            raise
        except Exception as error:  # runtimes raise what they like
            raise InvalidInput(f"teacher {path.name} is damaged, or cannot run here: {first_line(error)}") from error


def _matched_inputs(engine: OnnxEngine, example: Split, file: str) -> dict[str, str]:
    """The task's input for each of the file's; where there is one of each, the name does not matter."""
    wanted, own = [one.name for one in engine.inputs], list(example.inputs)
    if len(wanted) == len(own) == 1:
        pairs = {wanted[0]: own[0]}
    elif sorted(wanted) == sorted(own):
        pairs = {name: name for name in wanted}
    else:
        raise InvalidInput(f"teacher {file} has inputs {wanted}, this task {own}: they must be the same")
    for spec in engine.inputs:
        array = example.inputs[pairs[spec.name]]
        shape, dtype = list(array.shape[1:]), array.dtype.name
        fits = len(spec.shape) == array.ndim and all(one in (None, two) for one, two in zip(spec.shape[1:], shape, strict=True))
        if not fits or spec.dtype != dtype or spec.shape[0] not in (None, 1):
            raise InvalidInput(
                f"teacher {file} takes {spec.dtype} {spec.shape} as {spec.name!r}, this task gives {dtype} [batch, {', '.join(map(str, shape))}]"
            )
    return pairs


def _matched_output(engine: OnnxEngine, output: str, file: str) -> str:
    names = [one.name for one in engine.outputs]
    if output not in names and len(names) > 1:
        raise InvalidInput(f"teacher {file} has outputs {names}: none is called {output!r}, as this task's first output is")
    name = output if output in names else names[0]
    spec = next(one for one in engine.outputs if one.name == name)
    if spec.dtype != "float32":
        raise InvalidInput(f"teacher {file} gives {spec.dtype} as {name!r}: a teacher's answers must be float32")
    return name


def teacher_task(name: str, ctx: Context) -> Task | None:
    """The task of a teacher that must be trained; None for other teachers.

    It gets those settings of this task that it knows.

    Raises:
        InvalidInput, NotFound: there is no such folder or file, or its task.py is wrong.
    """
    path = ctx.folder / name
    if name == ORIGINAL or not path.is_dir():
        return None
    if not (path / TASK_FILE).is_file():
        raise InvalidInput(f"teacher {name!r} has no {TASK_FILE}: a teacher is {ORIGINAL!r}, a task's folder, or an ONNX file")
    known = task_class(path).settings
    return load_task(path, {key: value for key, value in ctx.task.given.items() if key in known})


def find_teacher(name: str, task: Task | None, model: nn.Module, ctx: Context, on_epoch: Callable[[int, int], None]) -> Teacher:
    """The teacher that a recipe names, trained where it must be: on this task's training data, never on its test data.

    Args:
        task: what `teacher_task` found.
        model: the student, which teaches itself where there is no original.

    Raises:
        InvalidInput: there is none of that name, or it does not fit.
    """
    from argosy_controller.pipeline.compressing import trained

    if name == ORIGINAL:
        return TorchTeacher(ctx.original if ctx.original is not None else model)
    if task is not None:
        return TorchTeacher(trained(task, ctx.data, ctx.seed, on_epoch))
    if not (ctx.folder / name).is_file():
        raise InvalidInput(f"there is no teacher {name!r} in {ctx.folder}: name {ORIGINAL!r}, a task's folder, or an ONNX file")
    return OnnxTeacher(ctx.folder / name, ctx.data.train.take(slice(0, 1)), ctx.task.outputs[0])
