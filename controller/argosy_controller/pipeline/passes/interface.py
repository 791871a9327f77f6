"""What a pass is: a small frozen configuration, and a function from model to model.

A pass is one file here and one line in `passes/__init__.py`. Its module imports torch only inside functions, so that
recipes can be checked and listed without it. tests/unit/controller/pipeline/test_pass_harness.py runs every registered
pass and checks what all must keep: the input model untouched, names, shapes and types of inputs and outputs, and the
same result for the same seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from argosy_controller.pipeline.options import Config, TrainingConfig
from argosy_controller.pipeline.task import Data, Task

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Config", "Context", "Pass", "TrainingConfig"]

C = TypeVar("C", bound=Config)
#: What a model is made of: torch's layers, one ONNX graph, or an estimator of scikit-learn.
Kind = Literal["network", "graph", "estimator"]


@dataclass(frozen=True)
class Context:
    """What a pass may use beside the model: the task, training and calibration data (never the test data), a seed.

    Attributes:
        data: `data.test` must not be looked at: goals are judged on it. `data.judging` is for a pass that must choose.
        on_step: called with (finished, total) by passes that take long.
        original: the trained model before the first pass, not to be changed; None outside a build.
        folder: files that a recipe names (a teacher) are found from here: the recipe's own folder.
        note: takes a sentence for the report about what a pass decided by itself.
    """

    task: Task
    data: Data
    seed: int
    on_step: Callable[[int, int], None]
    original: nn.Module | None = None
    folder: Path = Path()
    note: Callable[[str], None] = lambda text: None


class Pass(ABC, Generic[C]):
    """One way to change a model.

    Attributes:
        name: what recipes call it.
        paper: where the method is from.
        config: the class of its options.
        takes: kinds of model (sources.graphs.kind_of) that it can change.
        reshapes: the result has other layers, or layers of other sizes, than the model given.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    config: ClassVar[type[Any]]
    takes: ClassVar[frozenset[Kind]] = frozenset({"network"})
    reshapes: ClassVar[bool] = False

    @abstractmethod
    def apply(self, model: nn.Module, config: C, ctx: Context) -> nn.Module:
        """A changed copy of the model, in evaluation mode; the model given stays as it was."""
