"""What a user writes: a model, its data and how it is scored, in a folder's task.py.

    class Digits(Task):
        name = "digits"
        outputs = ("logits",)

        def data(self, seed): ...   -> Data(train=Split({"image": x}, y), test=Split({"image": x}, y))
        def model(self, seed): ...  -> torch.nn.Module, called with the inputs in the order of the data's names

The names of the data's inputs and of `outputs` become the public names of every variant. This module imports no torch.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from argosy.errors import ArgosyError, InvalidInput, NotFound
from argosy.names import check_name
from argosy_controller.pipeline.numbers.metrics import BUILT_IN, Metric, right_or_wrong
from argosy_controller.pipeline.options import Optimiser, Schedule, TrainingConfig
from argosy_controller.pipeline.spelling import nearest

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Hyperparameter = bool | int | float | str
TASK_FILE = "task.py"
ACCURACY = "accuracy"
_TRAINING = ("epochs", "learning_rate", "batch_size", "optimiser", "weight_decay", "schedule")
_FIXED = ("name", "metric", "training", "has_model", "judged_by", "labels")
_CALIBRATION_EXAMPLES = 256
_VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class Split:
    """Examples: per input name an array (examples, ...), and one target each."""

    inputs: Mapping[str, Array]
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, index: Any) -> Split:
        """The examples that a numpy index (slice, integers, mask) selects."""
        return Split({name: array[index] for name, array in self.inputs.items()}, self.targets[index])


@dataclass(frozen=True)
class Data:
    """A task's data. The test part is held out: no pass and no search sees it, and it decides about goals.

    Attributes:
        calibration: representative inputs for ranges of quantised tensors; None takes the first 256 of `train`.
        validation: what a search judges candidates on; None holds back a share of `train` when there is a search.
    """

    train: Split
    test: Split
    calibration: Split | None = field(default=None)
    validation: Split | None = field(default=None)

    @property
    def calibrating(self) -> Split:
        """The examples for calibration."""
        return self.calibration if self.calibration is not None else self.train.take(slice(0, _CALIBRATION_EXAMPLES))

    @property
    def judging(self) -> Split:
        """The examples on which a pass or a search may choose between candidates; never the test data."""
        return self.validation if self.validation is not None else self.calibrating


def held_back(data: Data, seed: int) -> Data:
    """The data with a validation part: its own, or a seeded 15 % of the training examples, which leave `train`."""
    if data.validation is not None:
        return data
    order = np.random.default_rng(seed).permutation(len(data.train))
    count = max(1, round(_VALIDATION_SHARE * len(order)))
    return replace(data, train=data.train.take(np.sort(order[count:])), validation=data.train.take(np.sort(order[:count])))


class Task(ABC):
    """A model to be built, and how good it is.

    Attributes:
        name: the model's name in the registry.
        outputs: public names of what the model returns, in order.
        metric: what the model is judged by: one of metrics.BUILT_IN ("auc", "f1", "f1-macro", "rmse", "mae"), a
            metrics.Metric, or the name of what `score` counts.
        labels: names of the classes, for people; empty calls them 0, 1, 2.
        settings: what `--set NAME=VALUE` may give, each with a sentence; the values arrive in `self.given`.
        epochs, learning_rate, batch_size, optimiser, weight_decay, schedule: of the first training.

    Every attribute of the class that is a number, a text or a truth value (these, and whatever the task adds: `width`,
    `depth`, `activation`) is a *hyperparameter*: a recipe's [task] table may set it, and a search may try values for it.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ("output",)
    metric: ClassVar[str | Metric] = ACCURACY
    labels: ClassVar[Sequence[str]] = ()
    settings: ClassVar[Mapping[str, str]] = {}
    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 64
    optimiser: Optimiser = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"

    def __init__(self, given: Mapping[str, str]) -> None:
        for key in given:
            if key not in self.settings:
                raise InvalidInput(f"task {self.name!r} has no setting {key!r}{nearest(key, self.settings)}")
        self.given = dict(given)

    def path(self, setting: str) -> Path:
        """The file or folder that a setting names, for tasks that cannot do without.

        Raises:
            InvalidInput: it was not given, or there is nothing of that name.
        """
        what = f"--set {setting}=PATH ({self.settings[setting]})"
        if setting not in self.given:
            raise InvalidInput(f"task {self.name!r} needs data that do not come with it: add {what}")
        if not (found := Path(self.given[setting])).exists():
            raise InvalidInput(f"there is no {found} for task {self.name!r}: correct {what}")
        return found

    @property
    def training(self) -> TrainingConfig:
        """How the first training goes."""
        wanted = {key: getattr(self, key) for key in _TRAINING}
        try:
            return msgspec.convert(wanted, TrainingConfig)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"task {self.name!r} has a hyperparameter of training that cannot be: {str(error).lower()}") from error

    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """What a recipe's [task] table may set, with the values now."""
        names = (name for kind in reversed(type(self).__mro__) for name in vars(kind) if not name.startswith("_"))
        found = {name: getattr(self, name) for name in names if name not in _FIXED}
        return {name: value for name, value in found.items() if isinstance(value, (bool, int, float, str))}

    def set_hyperparameters(self, values: Mapping[str, object]) -> None:
        """Sets some of them; nothing is set when one is wrong.

        Raises:
            InvalidInput: the task has no hyperparameter of that name, or it is of another type.
        """
        known = self.hyperparameters()
        changed = {name: _as_type(self.name, name, value, known) for name, value in values.items()}
        for name, value in changed.items():
            setattr(self, name, value)

    def augment(self, inputs: tuple[torch.Tensor, ...], random: torch.Generator) -> tuple[torch.Tensor, ...]:
        """A training batch's inputs, varied at random (shifts, flips); as they are unless a task overrides this."""
        del random
        return inputs

    @abstractmethod
    def data(self, seed: int) -> Data:
        """Training and held-out examples; the same for the same seed."""

    def model(self, seed: int) -> Any:
        """The untrained model, or a ready one with `epochs = 0`: a torch.nn.Module. torch's generator is seeded before the call.

        Or an estimator of scikit-learn (pipeline/classical), maybe behind scalers: it is fitted on the training data, and stays
        as it is where it was fitted before.

        A task without it describes data and metric for a model that comes as a file (`--from FILE`).
        """
        raise InvalidInput(f"task {self.name!r} has no model(): write one, or give a trained model with --from FILE")

    @property
    def has_model(self) -> bool:
        """Whether the task writes a model of its own."""
        return type(self).model is not Task.model

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        """What training makes small: the cross-entropy of the first output (logits) against class numbers."""
        from torch.nn import functional

        return functional.cross_entropy(outputs[0], targets.long())

    def score(self, outputs: Mapping[str, Array], targets: Array) -> NDArray[np.bool_]:
        """Which examples the model got right: the largest entry of the first output names the class."""
        right: NDArray[np.bool_] = outputs[self.outputs[0]].argmax(axis=-1) == targets
        return right

    @property
    def judged_by(self) -> Metric:
        """What says how good the model is.

        Raises:
            InvalidInput: `metric` names nothing, or `score` is overridden beside a metric that does not ask it.
        """
        own = type(self).score is not Task.score or "score" in vars(self)
        metric = BUILT_IN.get(self.metric) if isinstance(self.metric, str) else self.metric
        if isinstance(metric, Metric):
            if own:
                raise InvalidInput(f"task {self.name!r} has metric {metric.name!r} and a score() of its own: keep one of the two")
            return metric
        if not isinstance(self.metric, str) or not (own or self.metric == ACCURACY):
            raise InvalidInput(
                f"task {self.name!r} has metric {self.metric!r}, which nothing here computes{nearest(str(self.metric), (ACCURACY, *BUILT_IN))}"
            )
        return right_or_wrong(self.metric, self.score)


def _as_type(task: str, name: str, value: object, known: Mapping[str, Hyperparameter]) -> Hyperparameter:
    if name not in known:
        raise InvalidInput(f"task {task!r} has no hyperparameter {name!r}{nearest(name, known)}")
    kind = type(known[name])
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InvalidInput(f"hyperparameter {name!r} of task {task!r} is {value!r}: it must be of type {kind.__name__}, as {known[name]!r}")
    return value


def load_task(folder: Path, given: Mapping[str, str]) -> Task:
    """The task of a folder, with its settings.

    Raises:
        NotFound: no such folder, or no task.py in it.
        InvalidInput: task.py does not run, holds no task or several, or a setting is not the task's.
    """
    kind = task_class(folder)
    with blaming(f"task {kind.__name__} in {folder / TASK_FILE} did not start"):
        task = kind(given)
        _ = task.judged_by
    check_name("model", task.name)
    return task


def task_class(folder: Path) -> type[Task]:
    """The one Task class that a folder's task.py defines; a task may build on another by this."""
    path = folder / TASK_FILE
    if not path.is_file():
        raise NotFound(f"there is no {TASK_FILE} in {folder}: name the folder of a task")
    name = f"argosy_task_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _make_importable(folder.resolve())
    with blaming(f"{path} did not run"):
        spec.loader.exec_module(module)
    return _only_task(path, [one for one in vars(module).values() if _is_task(one, name)])


def _make_importable(folder: Path) -> None:
    """Lets a task import modules that lie beside it, as a script can; another task's modules of the same names are forgotten."""
    sys.path[:] = [str(folder), *(one for one in sys.path if one != str(folder))]
    for beside in folder.glob("*.py"):
        source = getattr(sys.modules.get(beside.stem), "__file__", None)
        if source and Path(source) != beside and (Path(source).parent / TASK_FILE).is_file():
            del sys.modules[beside.stem]


def _is_task(candidate: object, module: str) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, Task) and candidate.__module__ == module


def _only_task(path: Path, found: list[type[Task]]) -> type[Task]:
    if len(found) != 1:
        names = ", ".join(one.__name__ for one in found) or "none"
        raise InvalidInput(f"{path} must define exactly one subclass of Task, and defines {names}")
    missing = sorted(found[0].__abstractmethods__) + ([] if hasattr(found[0], "name") else ["name"])
    if missing:
        raise InvalidInput(f"class {found[0].__name__} in {path} lacks {', '.join(missing)}: a task needs name, data and model")
    return found[0]


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turns any error of a user's code into one sentence with its file and line."""
    try:
        yield
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"{what}: {type(error).__name__}: {str(error)[:500]}{_where(error)}") from error


def _where(error: Exception) -> str:
    """The innermost line that is the user's, not a library's."""
    libraries = ("<", sys.prefix, sys.base_prefix)
    frames = [one for one in extract_tb(error.__traceback__) if not one.filename.startswith(libraries)]
    return f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})" if frames else ""


def task_model(task: Task, seed: int) -> torch.nn.Module:
    """The task's model as it starts, seeded; an estimator of scikit-learn as `classical.fitted.Fitted`.

    Raises:
        InvalidInput: model() raised or returned something else, or an estimator that nothing here converts.
    """
    import torch

    torch.manual_seed(seed)
    with blaming(f"model() of task {task.name!r} failed"):
        model = task.model(seed)
    if isinstance(model, torch.nn.Module):
        return model
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        from argosy_controller.pipeline.classical.fitted import INPUT, Fitted

        return Fitted(model, INPUT, task.outputs)
    raise InvalidInput(
        f"model() of task {task.name!r} must return a torch.nn.Module or an estimator of scikit-learn, not {type(model).__name__}"
    )


def checked_data(task: Task, seed: int) -> Data:
    """The task's data, looked over before hours of training go into it.

    Raises:
        InvalidInput: a part is empty, counts or names differ, names collide, or inputs are not finite.
    """
    with blaming(f"data() of task {task.name!r} failed"):
        data = task.data(seed)
    if not isinstance(data, Data):
        raise InvalidInput(f"data() of task {task.name!r} must return Data(train=..., test=...), not {type(data).__name__}")
    if data.train.targets.dtype.kind in "UO":
        data = _numbered(task, data)
    for part, split in (("train", data.train), ("test", data.test), ("calibration", data.calibrating)):
        _check_split(f"the {part} data of task {task.name!r}", split, data.train)
    _check_names(task, data.train)
    return data


def _check_names(task: Task, split: Split) -> None:
    """A file has each name once, for whatever it names."""
    names = [*split.inputs, *task.outputs]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        where = "is an input and an output" if twice in split.inputs else "names two outputs"
        raise InvalidInput(f"{twice!r} {where} of task {task.name!r}, and a model file has each name once: rename one in task.py")


def _numbered(task: Task, data: Data) -> Data:
    """Data whose targets are names of classes, with their numbers in `task.labels`, which are the names in order if it has none."""
    if not task.labels:
        vars(task)["labels"] = tuple(str(one) for one in np.unique(data.train.targets.astype(str)))
    numbers = {name: number for number, name in enumerate(task.labels)}

    def counted(split: Split) -> Split:
        unknown = set(split.targets.astype(str)) - set(numbers)
        if unknown:
            raise InvalidInput(f"the data of task {task.name!r} have class {str(min(unknown))!r:.100}, which is none of its labels")
        return Split(split.inputs, np.array([numbers[str(one)] for one in split.targets], np.int64))

    parts = {name: getattr(data, name) for name in ("train", "test", "calibration", "validation")}
    return Data(**{name: counted(one) for name, one in parts.items() if one is not None})


def _check_split(what: str, split: Split, like: Split) -> None:
    if len(split) == 0 or not split.inputs:
        raise InvalidInput(f"{what} are empty")
    if list(split.inputs) != list(like.inputs):
        raise InvalidInput(f"{what} have inputs {list(split.inputs)}, the training data {list(like.inputs)}")
    for name, array in split.inputs.items():
        if len(array) != len(split):
            raise InvalidInput(f"{what} have {len(array)} examples of input {name!r} and {len(split)} targets")
        if array.shape[1:] != like.inputs[name].shape[1:] or array.dtype != like.inputs[name].dtype:
            raise InvalidInput(f"{what}: input {name!r} has another shape or dtype than in the training data")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidInput(f"{what}: input {name!r} holds values that are not finite (NaN or infinity)")
