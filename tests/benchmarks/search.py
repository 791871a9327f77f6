"""The same 24 trials one by one and on the pool, and the same search again: digits, widths, learning rates and shares to cut."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from record import ROOT, Figure, leave, write

from argosy_controller.pipeline.caching.remembering import remembering
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.report import SearchReport
from argosy_controller.pipeline.search.pool import ProcessPool
from argosy_controller.pipeline.search.searching import searched
from argosy_controller.pipeline.task import checked_data, load_task

P = ParamSpec("P")
T = TypeVar("T")
DIGITS = ROOT / "examples" / "digits"
RECIPE = """
[search]
method = "random"
trials = {trials}
objectives = ["accuracy", "bytes"]
workers = {workers}
[task]
epochs = {epochs}
width = {{ choices = [16, 24, 32] }}
learning_rate = {{ low = 1e-3, high = 5e-3, log = true }}
[[passes]]
use = "prune-channels"
share = {{ low = 0.2, high = 0.7 }}
[[passes]]
use = "finetune"
epochs = 2
[[variants]]
use = "onnx-int8"
"""


class Counting(ProcessPool):
    """A pool that says how many candidates it was given."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.calls = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the pool."""
        self.calls += 1
        return super().submit(fn, *args, **kwargs)


def search(cache: Path, workers: int, trials: int, epochs: int) -> tuple[float, int, SearchReport]:
    """One search: seconds, candidates that were computed, report. Processes are started and ended within the time."""
    recipe = parse_recipe(RECIPE.format(trials=trials, workers=workers, epochs=epochs))
    request = BuildRequest(task=str(DIGITS), recipe=str(DIGITS / "recipe.toml"), out="", model="", settings={}, seed=0, cache=str(cache))
    task = load_task(DIGITS, {})
    task.set_hyperparameters(recipe.hyperparameters)
    data = checked_data(task, 0)
    memory = remembering(request, task, 1)
    begin = time.monotonic()
    with Counting(workers) as pool:
        report = searched(request, recipe, task, data, memory, _silent, pool).report
    return time.monotonic() - begin, pool.calls, report


def _silent(stage: str, done: int, total: int) -> None:
    """Only the figures are shown."""


def figures(folder: Path, workers: int, trials: int, epochs: int) -> list[Figure]:
    """One by one, on the pool, and again."""
    load = os.getloadavg()[0]
    alone, _, one = search(folder / "one", 1, trials, epochs)
    pooled, _, other = search(folder / "pool", workers, trials, epochs)
    again, recomputed, third = search(folder / "pool", workers, trials, epochs)
    ratio = alone / pooled
    same = _told(one) == _told(other) == _told(third)
    return [
        Figure("load of the machine before", load, "processes"),
        Figure(f"{trials} trials one by one", alone, "s"),
        Figure(f"{trials} trials on {workers} processes", pooled, "s"),
        Figure("speed of the pool", ratio, "x", "one by one", ratio, "aim", "at least 1.7x on 2 cores", ratio >= 1.7),
        Figure("trials that differ between one process and the pool", float(not same), "", "", None, "must", "none", same),
        Figure("the same search again", again, "s"),
        Figure("candidates computed by the same search again", recomputed, "", "", None, "must", "none", recomputed == 0),
    ]


def _told(report: SearchReport) -> list[Any]:
    return [(one.point, one.values, one.state) for one in report.trials]


def main() -> None:
    """Measures in folders of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        leave(write("search", figures(Path(folder), arguments.workers, arguments.trials, arguments.epochs)))


if __name__ == "__main__":
    main()
