"""How good outputs are, and how much worse than others on the same examples: each with its 95 % interval."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argosy.errors import InvalidInput
from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.numbers import intervals
from argosy_controller.pipeline.numbers.intervals import bootstrap, clopper_pearson, paired_difference
from argosy_controller.pipeline.numbers.metrics import Array, Floats, Metric, Outputs
from argosy_controller.pipeline.report import Confusion, Drop

_LARGEST = sys.float_info.max
_MOST_CLASSES = 100


@dataclass(frozen=True)
class Scored:
    """Outputs that were judged.

    Attributes:
        accuracy: the figure with its interval.
        right: which examples are right, of a metric per example; None of others.
    """

    accuracy: Accuracy
    outputs: Outputs
    targets: Array
    right: NDArray[np.bool_] | None


def scored(metric: Metric, outputs: Outputs, targets: Array, what: str | None = None) -> Scored:
    """Judges outputs.

    Args:
        outputs: by public name, in the order in which the task names them; one row an example.
        what: names whose fault a wrong result is.

    Raises:
        InvalidInput: what the metric gave is not right or wrong per example, not a number, or out of its range.
    """
    blamed = what or f"metric {metric.name!r}"
    if metric.per_example:
        right = metric.rights(outputs, targets, blamed)
        low, high = clopper_pearson(int(right.sum()), len(right))
        return Scored(_accuracy(metric, float(right.mean()), low, high, len(right)), outputs, targets, right)
    value = metric.value(outputs, targets, blamed)
    found = bootstrap(metric.statistic(outputs, targets), len(targets), draws=_draws(metric))
    low, high = found or _without_draws(metric, value, targets)
    accuracy = _accuracy(metric, value, max(low, metric.low), min(high, metric.high), len(targets))
    return Scored(accuracy, outputs, targets, None)


def _accuracy(metric: Metric, value: float, low: float, high: float, examples: int) -> Accuracy:
    better = metric.higher_is_better
    return Accuracy(metric=metric.name, value=value, low=low, high=high, examples=examples, higher_is_better=better)


def _draws(metric: Metric) -> int:
    return intervals.DRAWS if metric.prepare else intervals.OWN_DRAWS


def _without_draws(metric: Metric, value: float, targets: Array) -> tuple[float, float]:
    """Where no draw differs: what a set of this size proves when it is perfect, else anything in the metric's range."""
    if metric.proven is not None and value == metric.high:
        return metric.proven(targets), value
    return max(metric.low, -_LARGEST), min(metric.high, _LARGEST)


def method(metric: Metric) -> str:
    """How the intervals of a metric are made, in words."""
    return intervals.METHOD if metric.per_example else intervals.BOOTSTRAP_METHOD.format(f"{_draws(metric):,}")


def drop(metric: Metric, before: Scored, after: Scored) -> Drop:
    """How much worse `after` is than `before`, asked the same examples in the same order; positive is worse."""
    examples = len(before.targets)
    if before.right is not None and after.right is not None:
        lost, won = int((before.right & ~after.right).sum()), int((~before.right & after.right).sum())
        low, high = paired_difference(lost, won, examples)
        value = (lost - won) / examples
        how = intervals.PAIRED_METHOD
        return Drop(metric=metric.name, value=value, low=low, high=high, examples=examples, method=how, lost=lost, won=won)
    sign = 1 if metric.higher_is_better else -1
    value = sign * (before.accuracy.value - after.accuracy.value)
    found = bootstrap(_difference(metric, before, after, sign), examples, draws=_draws(metric))
    low, high = found or _without_difference(metric, value, before)
    return Drop(
        metric=metric.name, value=value, low=low, high=high, examples=examples, method=method(metric) if found else intervals.SAME_METHOD
    )


def _difference(metric: Metric, before: Scored, after: Scored, sign: int) -> Callable[[Floats], Floats]:
    first, second = (metric.statistic(one.outputs, one.targets) for one in (before, after))
    return lambda weights: sign * (first(weights) - second(weights))


def _without_difference(metric: Metric, value: float, before: Scored) -> tuple[float, float]:
    """No draw differs: the same reach to both sides as a set without a mistake has; without such a rule only the value."""
    reach = metric.high - metric.proven(before.targets) if metric.proven else 0.0
    return value - reach, value + reach


def answered_classes(outputs: Outputs) -> Array | None:
    """The class that each example was given: the largest column, or a label as it is; None where outputs are neither."""
    first = next(iter(outputs.values()))
    if first.ndim == 2 and first.shape[1] > 1:
        return np.asarray(first.argmax(axis=1))
    if first.dtype.kind in "iu" and first.size == len(first):
        return first.reshape(len(first)).astype(np.int64)
    return None


def confusion(labels: Sequence[str], before: Scored, after: Scored) -> Confusion | None:
    """Which classes were answered for which, before and after; None where targets are no classes, or more than 100.

    Raises:
        InvalidInput: there are labels, but not one for each class.
    """
    answers = [answered_classes(one.outputs) for one in (before, after)]
    targets = before.targets
    if targets.ndim != 1 or targets.dtype.kind not in "iu" or any(one is None for one in answers):
        return None
    first = next(iter(before.outputs.values()))
    highest = max(int(one.max()) for one in (targets, *answers) if one is not None)
    count = max(highest + 1, first.shape[1] if first.ndim == 2 and first.shape[1] > 1 else 2)
    if count > _MOST_CLASSES or min(int(one.min()) for one in (targets, *answers) if one is not None) < 0:
        return None
    if labels and len(labels) != count:
        raise InvalidInput(f"the task has {len(labels)} labels, and there are {count} classes: give one label for each")
    tables = map(partial(_counts, targets, count), answers)
    return Confusion(labels=[str(one) for one in labels or range(count)], before=next(tables), after=next(tables))


def _counts(targets: Array, count: int, answers: Any) -> list[list[int]]:
    table = np.bincount(targets.astype(np.int64) * count + answers, minlength=count * count)
    found: list[list[int]] = table.reshape(count, count).tolist()
    return found
