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
_WARM_RUNS = 20
_MAX_RUNS = 1000
_MIN_RUNS = 30
_SECONDS = 1.0


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
    for one in islice(cycle(inputs), _WARM_RUNS):
        engine.run(one)
    gc.collect()
    gc.disable()
    try:
        taken = _measure(engine, inputs, clock)
    finally:
        gc.enable()
    p50, p99 = np.percentile(np.array(taken) / 1000, [50, 99])
    return Timing(runtime=engine.runtime, p50_us=round(float(p50), 2), p99_us=round(float(p99), 2))


def _measure(engine: Engine, inputs: Sequence[Mapping[str, Array]], clock: Callable[[], int]) -> list[int]:
    taken: list[int] = []
    for one in islice(cycle(inputs), _MAX_RUNS):
        start = clock()
        engine.run(one)
        taken.append(clock() - start)
        if len(taken) >= _MIN_RUNS and sum(taken) > _SECONDS * 1e9:
            break
    return taken
