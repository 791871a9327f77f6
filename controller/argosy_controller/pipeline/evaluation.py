"""Measures an exported file in its real runtime: how often it is right, how long it takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.engines import Engine
from argosy_controller.pipeline.intervals import clopper_pearson
from argosy_controller.pipeline.task import Array, Split, Task, blaming

_BATCH = 128
_WARM_RUNS, _WARM_NS = 20, 2_000_000_000
_RUNS, _ENOUGH_RUNS = 1000, 30
_ENOUGH_NS, _LONGEST_NS = 1_000_000_000, 10_000_000_000


def accuracy(engine: Engine, task: Task, split: Split) -> Accuracy:
    """The task's metric over a split, through the file, with its exact interval.

    Raises:
        InvalidInput: the task's `score` raised, or did not say right or wrong per example.
    """
    outputs = predict(engine, split)
    with blaming(f"score() of task {task.name!r} failed"):
        right = np.asarray(task.score(outputs, split.targets))
    if right.shape != (len(split),) or right.dtype != np.bool_:
        raise InvalidInput(f"score() of task {task.name!r} must return one True or False per example, not {right.dtype} of {right.shape}")
    hits = int(right.sum())
    low, high = clopper_pearson(hits, len(split))
    return Accuracy(metric=task.metric, value=hits / len(split), low=low, high=high, examples=len(split))


def predict(engine: Engine, split: Split) -> dict[str, Array]:
    """All outputs for a split, in its order, in batches where the file takes them."""
    size = _BATCH if all(spec.shape and spec.shape[0] is None for spec in engine.inputs) else 1
    parts = [engine.run(one) for one in requests(split, size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def requests(split: Split, size: int = 1) -> Iterator[dict[str, Array]]:
    """A split's inputs as requests of `size` examples."""
    for start in range(0, len(split), size):
        yield {name: np.ascontiguousarray(array[start : start + size]) for name, array in split.inputs.items()}


def timing(engine: Engine, inputs: Sequence[Mapping[str, Array]], clock: Callable[[], int] = time.perf_counter_ns) -> Timing:
    """Median and 99th percentile of single requests, warm, on one thread, with garbage collection off.

    Args:
        inputs: requests to go round in.
        clock: nanoseconds.
    """
    _durations(engine, inputs, clock, _WARM_RUNS, lambda runs, total: total > _WARM_NS)
    gc.collect()
    gc.disable()
    try:
        taken = _durations(engine, inputs, clock, _RUNS, _enough)
    finally:
        gc.enable()
    p50, p99 = np.percentile(np.array(taken) / 1000, [50, 99])
    return Timing(runtime=engine.runtime, p50_us=round(float(p50), 2), p99_us=round(float(p99), 2))


def _enough(runs: int, total_ns: int) -> bool:
    """A second is enough for a fast model; one that takes seconds is not made to answer thirty times."""
    return (runs >= _ENOUGH_RUNS and total_ns > _ENOUGH_NS) or total_ns > _LONGEST_NS


def _durations(
    engine: Engine, inputs: Sequence[Mapping[str, Array]], clock: Callable[[], int], runs: int, enough: Callable[[int, int], bool]
) -> list[int]:
    taken: list[int] = []
    for one in islice(cycle(inputs), runs):
        start = clock()
        engine.run(one)
        taken.append(clock() - start)
        if enough(len(taken), sum(taken)):
            break
    return taken
