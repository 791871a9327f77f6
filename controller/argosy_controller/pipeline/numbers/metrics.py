"""What a task may be judged by: right or wrong per example, a figure of a whole set (AUC, F1, RMSE), or a function of one's own.

    class Tumours(Task):
        metric = "auc"                                       # one of BUILT_IN
        metric = f1(threshold=0.5)                           # or made by a function here
        metric = Metric("r2", r2_score_of, low=-math.inf)    # or one's own: (outputs, targets) -> float

A task that overrides `score` is judged by it. Sets are weighed, not copied: a statistic takes how often each example counts,
many such weightings at once, so that thousands of bootstrap draws of 10,000 examples take a second. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argosy.errors import InvalidInput
from argosy_controller.pipeline.numbers.intervals import most_mistakes

Array = NDArray[Any]
Floats = NDArray[np.float64]
Outputs = Mapping[str, Array]
#: From weightings (draws, examples), whole numbers of at least 0, to the figure of each draw; NaN where it has none.
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Metric:
    """How good outputs are.

    Attributes:
        name: for people.
        function: from outputs by public name and targets to one number; or, with `per_example`, to right or wrong for each.
        higher_is_better: False for errors.
        low, high: the range of possible values; infinite where there is no end.
        per_example: the metric is the share of examples that are right; its intervals are exact.
        prepare: a faster way to the same number: outputs and targets to a `Statistic`. Only the built-in ones have it.
        proven: from targets to the low end of the interval of a set without a single mistake, where no draw differs from
            another; None: the end of the range.
    """

    name: str
    function: Callable[[Outputs, Array], Any]
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    per_example: bool = False
    prepare: Callable[[Outputs, Array], Statistic] | None = None
    proven: Callable[[Array], float] | None = None

    def rights(self, outputs: Outputs, targets: Array, what: str) -> NDArray[np.bool_]:
        """Which examples are right, of a metric per example.

        Raises:
            InvalidInput: it does not say so for each; `what` names whose fault that is ("score() of task 'digits'").
        """
        right = np.asarray(self.function(outputs, targets))
        if right.shape != (len(targets),) or right.dtype != np.bool_:
            raise InvalidInput(f"{what} must return one True or False per example, not {right.dtype} of {right.shape}")
        return right

    def value(self, outputs: Outputs, targets: Array, what: str | None = None) -> float:
        """The figure of a set, in range.

        Raises:
            InvalidInput: it is none, NaN, or out of the metric's range.
        """
        blamed = what or f"metric {self.name!r}"
        if self.per_example:
            return float(self.rights(outputs, targets, blamed).mean())
        return self.checked(self.function(outputs, targets), blamed)

    def checked(self, found: object, what: str) -> float:
        """The number that a function gave, looked over. Raises as `value`."""
        array = np.asarray(found)
        if array.shape not in ((), (1,)) or array.dtype.kind not in "fiub":
            raise InvalidInput(f"{what} must return one number for a set of examples, not {array.dtype} of {array.shape}")
        number = float(array.reshape(()))
        if not math.isfinite(number):
            raise InvalidInput(f"{what} is not finite on these examples ({number}): look at the outputs and the targets")
        if not self.low - 1e-9 <= number <= self.high + 1e-9:
            raise InvalidInput(f"{what} is {number:.6g}, outside its range from {self.low:g} to {self.high:g}: correct it, or its range")
        return min(max(number, self.low), self.high)

    def statistic(self, outputs: Outputs, targets: Array) -> Statistic:
        """The figure as a function of how often each example counts; examples are repeated for a function of a user's own."""
        if self.prepare is not None:
            return self.prepare(outputs, targets)

        def of_draws(weights: Floats) -> Floats:
            return np.array([self._of_draw(outputs, targets, one) for one in weights])

        return of_draws

    def _of_draw(self, outputs: Outputs, targets: Array, weights: Floats) -> float:
        index = np.repeat(np.arange(len(targets)), weights.astype(np.int64))
        drawn = {name: array[index] for name, array in outputs.items()}
        with np.errstate(all="ignore"):
            try:
                return float(self.function(drawn, targets[index]))
            except (ArithmeticError, ValueError):  # a draw may lack a class; the whole set was judged before
                return math.nan


def right_or_wrong(name: str, function: Callable[[Outputs, Array], Array]) -> Metric:
    """The share of examples for which `function` says True."""
    return Metric(name, function, per_example=True)


def _first(outputs: Outputs, metric: str) -> Array:
    """The first output, one row an example, finite."""
    name, array = next(iter(outputs.items()))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInput(f"output {name!r} holds values that are not finite (NaN or infinity): {metric} cannot be computed")
    return array


def _scores(outputs: Outputs, metric: str) -> Floats:
    """How strongly each example is called positive: one column as it is, of two the second less the first."""
    array = _first(outputs, metric)
    flat = array.reshape(len(array), -1).astype(np.float64)
    if flat.shape[1] > 2:
        raise InvalidInput(
            f"{metric} is of two classes, and the first output has {flat.shape[1]} columns: take f1-macro, or a Metric of your own"
        )
    return flat[:, -1] - (flat[:, 0] if flat.shape[1] == 2 else 0.0)


def _positives(targets: Array, metric: str) -> NDArray[np.bool_]:
    if targets.ndim != 1 or not np.isin(targets, (0, 1)).all():
        raise InvalidInput(f"{metric} takes targets 0 and 1, one per example, and these are others: take a Metric of your own")
    return targets.astype(bool)


def _auc_statistic(outputs: Outputs, targets: Array) -> Statistic:
    """The chance that a positive example scores above a negative one, ties counting half (Hanley and McNeil 1982)."""
    scores, positive = _scores(outputs, "auc"), _positives(targets, "auc")
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    positive = positive[order]

    def of_draws(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        good = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        bad = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = np.cumsum(bad, axis=1) - bad / 2
        with np.errstate(invalid="ignore"):
            return np.asarray((good * below).sum(axis=1) / (good.sum(axis=1) * bad.sum(axis=1)))

    return of_draws


def _auc_proven(targets: Array) -> float:
    """Positives and negatives paired off are comparisons with nothing in common: exact, as a share of right ones."""
    positive = int(np.count_nonzero(targets))
    return 1 - most_mistakes(min(positive, len(targets) - positive))


def _classes(outputs: Outputs, metric: str, threshold: float) -> Array:
    """The class that each row names: labels as they are, the larger of columns, or a single score above the threshold."""
    array = _first(outputs, metric)
    if array.dtype.kind in "iub" and array.size == len(array):
        return array.reshape(len(array)).astype(np.int64)
    flat = array.reshape(len(array), -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else (flat[:, 0] > threshold).astype(np.int64)


def _f1_statistic(outputs: Outputs, targets: Array, threshold: float) -> Statistic:
    """2 TP / (2 TP + FP + FN) of class 1."""
    answered, wanted = _classes(outputs, "f1", threshold) == 1, _positives(targets, "f1")
    hit = (answered & wanted).astype(np.float64)
    named = answered.astype(np.float64) + wanted

    def of_draws(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(2 * (weights @ hit) / (weights @ named))

    return of_draws


def _macro_statistic(outputs: Outputs, targets: Array) -> Statistic:
    """The plain mean of the classes' F1, over the classes that occur among these targets or answers."""
    answered = _classes(outputs, "f1-macro", 0.0)
    _check_labels(targets, "f1-macro")
    labels, place = np.unique(np.r_[targets.astype(np.int64), answered], return_inverse=True)
    wanted, given = (_one_hot(one, len(labels)) for one in np.split(place, 2))
    hit, named = wanted.multiply(given), wanted + given

    def of_draws(weights: Floats) -> Floats:
        total = weights @ named
        share = np.divide(2 * (weights @ hit), total, out=np.full_like(total, np.nan), where=total > 0)
        return np.asarray(np.nansum(share, axis=1) / np.maximum(1, np.isfinite(share).sum(axis=1)))

    return of_draws


def _f1_proven(targets: Array) -> float:
    """As many mistakes as may have stayed unseen, all of them missed positives."""
    return _f1_left(int(np.count_nonzero(targets)), len(targets) * most_mistakes(len(targets)))


def _f1_left(count: int, missed: float) -> float:
    found = max(0.0, count - missed)
    return 2 * found / (2 * found + missed)


def _macro_proven(targets: Array) -> float:
    """As many mistakes as may have stayed unseen, all of them in the rarest classes."""
    missed, left = len(targets) * most_mistakes(len(targets)), []
    for count in sorted(np.unique(targets, return_counts=True)[1].tolist()):
        here = min(float(count), missed)
        missed -= here
        left.append(_f1_left(count, here) if here else 1.0)
    return float(np.mean(left))


def _one_hot(place: Array, count: int) -> Any:
    """Sparse: thousands of classes stay small."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(place)), (np.arange(len(place)), place)), shape=(len(place), count))


def _check_labels(targets: Array, metric: str) -> None:
    if targets.ndim != 1 or targets.dtype.kind not in "iub":
        raise InvalidInput(f"{metric} takes one class number per example as target, not {targets.dtype} of {targets.shape}")


def _residuals(outputs: Outputs, targets: Array, metric: str) -> Floats:
    array = _first(outputs, metric)
    if array.size != targets.size or len(array) != len(targets):
        raise InvalidInput(
            f"{metric} compares the first output, of shape {array.shape}, with targets of shape {targets.shape}: make them alike"
        )
    return array.reshape(len(array), -1).astype(np.float64) - targets.reshape(len(targets), -1)


def _rmse_statistic(outputs: Outputs, targets: Array) -> Statistic:
    squares = (_residuals(outputs, targets, "rmse") ** 2).mean(axis=1)
    return lambda weights: np.sqrt((weights @ squares) / weights.sum(axis=1))


def _mae_statistic(outputs: Outputs, targets: Array) -> Statistic:
    sizes = np.abs(_residuals(outputs, targets, "mae")).mean(axis=1)
    return lambda weights: np.asarray((weights @ sizes) / weights.sum(axis=1))


def _built_in(
    name: str, prepare: Callable[[Outputs, Array], Statistic], *, better: bool = True, proven: Callable[[Array], float] | None = None
) -> Metric:
    def function(outputs: Outputs, targets: Array) -> float:
        return float(prepare(outputs, targets)(np.ones((1, len(targets))))[0])

    return Metric(name, function, better, high=1.0 if better else math.inf, prepare=prepare, proven=proven)


def f1(threshold: float = 0.0) -> Metric:
    """F1 of class 1. A single column of scores says class 1 above `threshold`: 0 for logits, 0.5 for probabilities."""

    def prepare(outputs: Outputs, targets: Array) -> Statistic:
        return _f1_statistic(outputs, targets, threshold)

    return _built_in("f1", prepare, proven=_f1_proven)


#: What `metric = "NAME"` of a task may be, beside the name of what its own `score` counts.
BUILT_IN: dict[str, Metric] = {
    one.name: one
    for one in (
        _built_in("auc", _auc_statistic, proven=_auc_proven),
        f1(),
        _built_in("f1-macro", _macro_statistic, proven=_macro_proven),
        _built_in("rmse", _rmse_statistic, better=False),
        _built_in("mae", _mae_statistic, better=False),
    )
}
