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
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from argosy_controller.pipeline.task import Data, Task

if TYPE_CHECKING:
    from torch import nn


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a pass. Every field has a default, its range and unit as `msgspec.Meta`, and a sentence."""


C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Context:
    """What a pass may use beside the model: the task, training and calibration data (never the test data), a seed.

    Attributes:
        data: `data.test` must not be looked at: goals are judged on it.
        on_step: called with (finished, total) by passes that take long.
    """

    task: Task
    data: Data
    seed: int
    on_step: Callable[[int, int], None]


class Pass(ABC, Generic[C]):
    """One way to change a model.

    Attributes:
        name: what recipes call it.
        paper: where the method is from.
        config: the class of its options.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    config: ClassVar[type[Any]]

    @abstractmethod
    def apply(self, model: nn.Module, config: C, ctx: Context) -> nn.Module:
        """A changed copy of the model, in evaluation mode; the model given stays as it was."""
