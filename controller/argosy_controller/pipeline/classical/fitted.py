"""An estimator of scikit-learn standing where a network stands: fitted, asked and converted by the same path."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.content import digest, numbers
from argosy_controller.pipeline.classical.families import (
    CLASSIFIERS,
    check_data,
    check_supported,
    class_names,
    final,
    is_fitted,
    outputs_of,
    scores_of,
)
from argosy_controller.pipeline.classical.soundness import check_sound
from argosy_controller.pipeline.passes.interface import Kind
from argosy_controller.pipeline.sources.graphs import Foreign
from argosy_controller.pipeline.task import Array, Split

INPUT = "features"
#: Largest seed that numpy's generators take, plus one.
_SEEDS = 1 << 32


class Fitted(Foreign):
    """A supported estimator, a classifier or a regressor, maybe behind scalers, with the public names of a task.

    Answers are scikit-learn's own: of a classifier (rows, classes) float32 and the class index (rows,) int64; of a regressor
    (rows, 1) float32. Where there are no probabilities (SVC, LinearSVC) the first output has scores: decision values, one
    column for each class, negative and positive for two. The one buffer is a digest of all that was set or learnt: two
    estimators that differ in anything are two models.
    """

    kind: Kind = "estimator"
    runtime = "scikit-learn"

    def __init__(self, estimator: Any, input_name: str, outputs: tuple[str, ...]) -> None:
        """Takes a copy.

        Args:
            estimator: fitted or not; supported (families.check_supported).
            input_name: public name of the one input, (rows, columns).
            outputs: public names: two of a classifier, one of a regressor.

        Raises:
            InvalidInput: nothing here converts the estimator or one of its options, what it learnt does not hold together, the
                outputs are other ones, or names collide.
        """
        super().__init__()
        check_supported(estimator)
        if is_fitted(estimator):
            check_sound(estimator, "the task's model")
        self._estimator = copy.deepcopy(estimator)
        self.input_name, self.outputs = input_name, outputs_of(estimator, outputs)
        if len({input_name, *self.outputs}) <= len(self.outputs):
            raise InvalidInput(f"input {input_name!r} and outputs {', '.join(self.outputs)} share a name: give each its own")
        self.register_buffer("digest", torch.frombuffer(bytearray(digest(estimator)), dtype=torch.uint8))

    @property
    def estimator(self) -> Any:
        """Not to be changed: a pass changes a deep copy and hands it to `replaced`."""
        return self._estimator

    @property
    def fitted(self) -> bool:
        """Whether it has learnt."""
        return is_fitted(self._estimator)

    @property
    def classifies(self) -> bool:
        """Whether it names classes."""
        return isinstance(final(self._estimator), CLASSIFIERS)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices; empty for a regressor, and where they are plain numbers from 0."""
        return class_names(self._estimator) if self.classifies and self.fitted else ()

    def replaced(self, estimator: Any) -> Fitted:
        """Another estimator under the same names: what a pass returns. Raises as the constructor."""
        return Fitted(estimator, self.input_name, self.outputs).eval()

    def fitted_on(self, split: Split, seed: int) -> Fitted:
        """A copy, fitted; one that was fitted already stays as it is. The split names the input.

        Args:
            seed: becomes each `random_state` that is None.

        Raises:
            InvalidInput: the data are none for an estimator (several inputs, other columns, classes that are missing), or
                scikit-learn refuses them.
        """
        columns, targets = check_data(self._estimator, split)
        estimator = copy.deepcopy(self._estimator)
        if not self.fitted:
            _seed(estimator, seed)
            _fit(estimator, columns, targets)
        return Fitted(estimator, next(iter(split.inputs)), self.outputs).eval()

    def weights(self) -> list[torch.Tensor]:
        """Thresholds, leaves, coefficients, support vectors, means and variances; nothing before it is fitted."""
        return [torch.from_numpy(np.array(one)) for one in numbers(self._estimator)] if self.fitted else []

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As scikit-learn answers."""
        given = rows.detach().numpy()
        if not self.classifies:
            return (torch.from_numpy(_value(self._estimator, given)),)
        return torch.from_numpy(scores_of(self._estimator, given)), torch.from_numpy(_label(self._estimator, given))

    def onnx(self) -> bytes:
        """By skl2onnx, with names and order of outputs as here; the batch stays free."""
        from argosy_controller.pipeline.classical.onnx_file import onnx_bytes

        return onnx_bytes(self._estimator, self.input_name, self.outputs)

    def network(self) -> nn.Module:
        """The same by torch's operators in float32: one input (rows, columns), outputs as here."""
        from argosy_controller.pipeline.classical.lowering import lowered

        return lowered(self._estimator).eval()

    def extra_repr(self) -> str:
        """What it is, in one line."""
        return f"{type(final(self._estimator)).__name__}, {self.input_name} -> {', '.join(self.outputs)}"


def _seed(estimator: Any, seed: int) -> None:
    for name, value in estimator.get_params(deep=True).items():
        if value is None and name.rpartition("__")[2] == "random_state":
            estimator.set_params(**{name: seed % _SEEDS})


def _fit(estimator: Any, columns: Array, targets: Array) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # how good it became is measured
        try:
            estimator.fit(columns.astype(np.float64), targets)  # in float32, naive Bayes would learn and answer in it
        except Exception as error:  # scikit-learn raises what it likes about options and data
            what = str(error).strip().splitlines()[0][:300]
            raise InvalidInput(f"{type(final(estimator)).__name__} cannot be fitted on the task's training data: {what}") from error


def _value(estimator: Any, rows: Array) -> Array:
    found: Array = np.asarray(estimator.predict(rows), dtype=np.float32).reshape(len(rows), 1)
    return found


def _label(estimator: Any, rows: Array) -> Array:
    """The index of the class that `predict` names."""
    found: Array = np.searchsorted(final(estimator).classes_, estimator.predict(rows)).astype(np.int64)
    return found
