"""Measures an exported file in its real runtime: how often it is right, how long it takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import Accuracy, TensorSpec, Timing
from argosy_controller.pipeline.files.engines import Engine
from argosy_controller.pipeline.numbers.comparison import Scored, scored
from argosy_controller.pipeline.task import Array, Split, Task, blaming

Requests = Sequence[Mapping[str, Array]]
Clock = Callable[[], int]

_BATCH = 128
_ROUNDS = 5
_WARM_RUNS, _WARM_NS = 20, 2_000_000_000
_RUNS, _ENOUGH_RUNS = 1000, 30
_ENOUGH_NS, _LONGEST_NS = 1_000_000_000, 10_000_000_000


def accuracy(engine: Engine, task: Task, split: Split) -> Accuracy:
    """The task's metric over a split, through the file, with its interval. Raises as `judged`."""
    return judged(task, predict(engine, split), split.targets).accuracy


def judged(task: Task, outputs: Mapping[str, Array], targets: Array) -> Scored:
    """Outputs, by public name and in the task's order, judged by the task's metric.

    Raises:
        InvalidInput: the task's `score` or metric raised, or gave what cannot be.
    """
    metric = task.judged_by
    what = f"score() of task {task.name!r}" if metric.function == task.score else f"metric {metric.name!r} of task {task.name!r}"
    with blaming(f"{what} failed"):
        return scored(metric, outputs, targets, what)


def predict(engine: Engine, split: Split) -> dict[str, Array]:
    """All outputs for a split, in its order, in batches where the file takes them."""
    size = _BATCH if all(spec.shape and spec.shape[0] is None for spec in engine.inputs) else 1
    parts = [engine.run(as_declared(one, engine.inputs)) for one in requests(split, size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def requests(split: Split, size: int = 1) -> Iterator[dict[str, Array]]:
    """A split's inputs as requests of `size` examples; of one where they do not lie along the inputs' first dimension."""
    step = size if all(isinstance(one, np.ndarray) for one in split.inputs.values()) else 1
    for start in range(0, len(split), step):
        yield {name: np.asarray(array[start : start + step], order="C") for name, array in split.inputs.items()}


def as_declared(request: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """A request in the integer types that a file declares: converters make int32 of int64.

    Raises:
        InvalidInput: a number does not fit.
    """
    kinds = {one.name: one.dtype for one in specs}
    return {name: _as(name, array, kinds.get(name, array.dtype.name)) for name, array in request.items()}


def _as(name: str, array: Array, kind: str) -> Array:
    if array.dtype.kind not in "iu" or kind == array.dtype.name or not kind.startswith(("int", "uint")):
        return array
    changed: Array = array.astype(kind)
    if not np.array_equal(changed, array):
        raise InvalidInput(f"input {name!r:.80} has numbers that do not fit into {kind}, which the converted file takes: give smaller ones")
    return changed


def timing(engine: Engine, inputs: Requests, clock: Clock = time.perf_counter_ns) -> Timing:
    """Median and 99th percentile of single requests, warm, on one thread, with garbage collection off.

    Args:
        inputs: requests to go round in.
        clock: nanoseconds.
    """
    return timings([(engine, inputs)], clock)[0]


def timings(engines: Sequence[tuple[Engine, Requests]], clock: Clock = time.perf_counter_ns) -> list[Timing]:
    """Several as `timing` does one, turn about in five rounds, so that whatever else the machine does then hits all alike."""
    taken: list[list[int]] = [[] for _ in engines]
    for engine, inputs in engines:
        _durations(engine, inputs, clock, _WARM_RUNS, lambda runs, total: total > _WARM_NS)
    gc.collect()
    gc.disable()
    try:
        for number in range(_ROUNDS):
            for (engine, inputs), so_far in zip(engines, taken, strict=True):
                _round(engine, inputs, clock, so_far, again=number > 0 and len(engines) > 1)
    finally:
        gc.enable()
    return [_timing(engine.runtime, durations) for (engine, _), durations in zip(engines, taken, strict=True)]


def _round(engine: Engine, inputs: Requests, clock: Clock, so_far: list[int], again: bool) -> None:
    """One turn of one engine; caches that the others filled are warmed `again` first, uncounted."""
    spent = sum(so_far)
    if spent > _LONGEST_NS:
        return
    if again:
        _durations(engine, inputs, clock, _WARM_RUNS // _ROUNDS, lambda runs, total: total > _WARM_NS // _ROUNDS)
    so_far += _durations(engine, inputs, clock, _RUNS // _ROUNDS, lambda runs, total: _enough(runs, total, spent))


def _enough(runs: int, total_ns: int, spent_ns: int) -> bool:
    """A second in all is enough for a fast model; one that takes seconds is not made to answer thirty times."""
    return (runs >= _ENOUGH_RUNS // _ROUNDS and total_ns > _ENOUGH_NS // _ROUNDS) or spent_ns + total_ns > _LONGEST_NS


def _timing(runtime: str, taken: Sequence[int]) -> Timing:
    p50, p99 = np.percentile(np.array(taken) / 1000, [50, 99])
    return Timing(runtime=runtime, p50_us=round(float(p50), 2), p99_us=round(float(p99), 2))


def _durations(engine: Engine, inputs: Requests, clock: Clock, runs: int, enough: Callable[[int, int], bool]) -> list[int]:
    taken: list[int] = []
    for one in islice(cycle(inputs), runs):
        start = clock()
        engine.run(one)
        taken.append(clock() - start)
        if enough(len(taken), sum(taken)):
            break
    return taken
