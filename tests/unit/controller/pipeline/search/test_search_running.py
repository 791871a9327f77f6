"""A whole search with candidates that are computed on the spot: what it proposes, remembers, reports and decides."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.caching.remembering import Memory, remembering
from argosy_controller.pipeline.numbers.figures import Measures
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.report import SearchReport
from argosy_controller.pipeline.search.candidate import Job
from argosy_controller.pipeline.search.hopeless import given_up, sentence
from argosy_controller.pipeline.search.outcome import Look, Outcome
from argosy_controller.pipeline.search.searching import Found, searched
from argosy_controller.pipeline.task import Task, checked_data, load_task

TASK = """
import numpy as np
from torch import nn
from argosy_controller.pipeline.task import Data, Split, Task

class Tiny(Task):
    name = "tiny"
    outputs = ("logits",)
    width, dropout = 4, 0.0

    def data(self, seed):
        one = Split({"x": np.ones((20, 2), np.float32)}, np.zeros(20, np.int64))
        return Data(train=one, test=one)

    def model(self, seed):
        return nn.Linear(2, 2)
"""
RECIPE = """
[search]
method = "random"
trials = 20
objectives = ["accuracy", "bytes"]
[goals]
bytes_at_most = 900
[task]
width = { low = 1, high = 64 }
[[passes]]
use = "prune-magnitude"
share = { low = 0.0, high = 0.9 }
[[variants]]
use = "onnx-int8"
"""


def _judged(job: Job) -> Outcome:
    """More width and less pruning are better and larger."""
    width, share = float(job.point.get("task.width", 8)), float(job.point.get("prune-magnitude.share", 0.5))
    value = 1 - 1 / (1 + width * (1 - share))
    accuracy = Accuracy(metric="accuracy", value=value, low=value, high=value, examples=100)
    size = round(100 * width * (1 - share)) + 10
    curve = tuple(Look(0, epoch, 1 - value) for epoch in (1, 2, 3))
    place = given_up(curve, job.earlier, job.patience)
    if place is not None:
        return Outcome(state="hopeless", curve=curve[: place + 1], reason=sentence(curve[place], job.patience))
    timing = Timing(runtime="pretended", p50_us=float(size), p99_us=float(size)) if job.timed else None
    return Outcome(state="complete", judged=Measures(bytes=size, accuracy=accuracy, timing=timing), curve=curve)


class Pretended(Executor):
    """Counts, and answers out of order: of those that are asked at the same time, the last first."""

    def __init__(self, answer: Callable[[Job], Outcome] = _judged, at_once: int = 1) -> None:
        self.jobs: list[Job] = []
        self._answer, self._at_once = answer, at_once
        self._waiting: list[tuple[Future[Any], Job]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append(args[0])
        self._waiting.append((future, args[0]))
        if len(self._waiting) >= self._at_once:
            self._settle()
        else:  # nobody may come to fill the round
            threading.Timer(0.02, self._settle).start()
        return future

    def _settle(self) -> None:
        while self._waiting:
            future, job = self._waiting.pop()
            try:
                future.set_result(self._answer(job))
            except BrokenProcessPool as error:
                future.set_exception(error)


class Bench:
    """A task's folder, its memory, and searches in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "task.py").write_text(TASK)
        self.task: Task = load_task(folder, {})
        self.data = checked_data(self.task, 0)
        self.request = self._request()
        memory = remembering(self.request, self.task, 1)
        assert memory is not None
        self.memory: Memory = memory

    def _request(self) -> BuildRequest:
        recipe, cache = str(self.folder / "recipe.toml"), str(self.folder / "cache")
        return BuildRequest(task=str(self.folder), recipe=recipe, out="", model="", settings={}, seed=0, cache=cache)

    def found(self, text: str = RECIPE, executor: Executor | None = None, tell: Any = lambda *told: None) -> Found:
        return searched(self.request, parse_recipe(text), self.task, self.data, self.memory, tell, executor or Pretended())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    os.environ.pop("ARGOSY_CACHE", None)
    return Bench(tmp_path)


def _trials(report: SearchReport) -> list[tuple[Any, ...]]:
    return [(one.number, one.point, one.values, one.state, one.front) for one in report.trials]


def _workers(text: str, count: int) -> str:
    return text.replace("[search]", f"[search]\nworkers = {count}", 1)


@pytest.mark.parametrize("hopeless", [1.0, 0.3])
@pytest.mark.parametrize("workers", [2, 3, 8, 11])
def test_random_finds_the_same_with_any_number_of_workers(bench: Bench, workers: int, hopeless: float, tmp_path: Path) -> None:
    text = RECIPE.replace("trials = 20", f"trials = 30\nhopeless = {hopeless}")
    alone = bench.found(text).report
    other = tmp_path / "other"
    other.mkdir()
    together = Bench(other).found(_workers(text, workers), Pretended(at_once=workers)).report
    assert _trials(alone) == _trials(together)
    assert alone.chosen == together.chosen
    assert (hopeless == 1.0) == all(one.state == "complete" for one in alone.trials)


def test_grid_tries_every_point_with_any_number_of_workers(bench: Bench) -> None:
    text = (
        RECIPE.replace('"random"\ntrials = 20', '"grid"')
        .replace("high = 64", "high = 64, steps = 3")
        .replace("high = 0.9", "high = 0.9, steps = 4")
    )
    assert len(bench.found(_workers(text, 3), Pretended(at_once=3)).report.trials) == 12


def test_bayes_finds_the_same_with_the_same_number_of_workers(bench: Bench, tmp_path: Path) -> None:
    text = _workers(RECIPE.replace("random", "bayes"), 3)
    other = tmp_path / "other"
    other.mkdir()
    assert _trials(bench.found(text, Pretended(at_once=3)).report) == _trials(Bench(other).found(text, Pretended(at_once=1)).report)


def test_the_same_search_again_asks_no_worker(bench: Bench) -> None:
    first, again = Pretended(), Pretended()
    one, two = bench.found(executor=first).report, bench.found(executor=again).report
    assert (len(first.jobs), len(again.jobs)) == (20, 0)
    assert one == two


def test_more_trials_continue_where_it_ended(bench: Bench) -> None:
    bench.found()
    more = Pretended()
    report = bench.found(RECIPE.replace("trials = 20", "trials = 26"), more).report
    assert len(report.trials) == 26
    assert len(more.jobs) == 6


def test_another_budget_goal_or_space_recomputes_no_candidate_that_is_the_same(bench: Bench) -> None:
    text = RECIPE.replace('"random"\ntrials = 20', '"grid"').replace("{ low = 1, high = 64 }", "{ choices = [1, 2] }")
    text = text.replace("{ low = 0.0, high = 0.9 }", "{ choices = [0.1, 0.2] }")
    bench.found(text)
    other = Pretended()
    bench.found(text.replace("[1, 2]", "[2, 3]").replace("= 900", "= 800").replace('["accuracy", "bytes"]', '["bytes"]'), other)
    assert sorted((one.point["task.width"], one.point["prune-magnitude.share"]) for one in other.jobs) == [(3, 0.1), (3, 0.2)]


def test_another_seed_or_task_is_another_search(bench: Bench) -> None:
    bench.found()
    (bench.folder / "task.py").write_text(TASK.replace("width, dropout = 4", "width, dropout = 5"))
    changed = Bench.__new__(Bench)
    changed.folder, changed.task = bench.folder, load_task(bench.folder, {})
    changed.data, changed.request = bench.data, bench.request
    memory = remembering(bench.request, changed.task, 1)
    assert memory is not None
    changed.memory = memory
    executor = Pretended()
    changed.found(executor=executor)
    assert len(executor.jobs) == 20


def test_the_winner_meets_the_goals_and_is_a_plain_recipe(bench: Bench) -> None:
    found = bench.found()
    chosen = found.report.trials[found.report.chosen]
    fitting = [one for one in found.report.trials if one.values["bytes"] <= 900]
    assert chosen.values["accuracy"] == max(one.values["accuracy"] for one in fitting)
    assert found.recipe.search is None
    assert found.recipe.hyperparameters == {"width": chosen.point["task.width"]}


def test_a_worker_that_dies_is_a_failed_trial_and_is_tried_again_next_time(bench: Bench) -> None:
    def dies_once(job: Job) -> Outcome:
        if float(job.point["prune-magnitude.share"]) > 0.6:
            raise BrokenProcessPool("gone")
        return _judged(job)

    report = bench.found(executor=Pretended(dies_once)).report
    failed = [one for one in report.trials if one.state == "failed"]
    assert failed
    assert "the worker's process died" in failed[0].reason
    again = Pretended()
    assert all(one.state == "complete" for one in bench.found(executor=again).report.trials)
    assert len(again.jobs) == len(failed)


def test_a_search_of_which_nothing_could_be_judged_says_why(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="none of the 20 candidates of the search could be judged: the model does not convert"):
        bench.found(executor=Pretended(lambda job: Outcome(state="failed", reason="the model does not convert")))


@pytest.mark.parametrize(
    ("before", "after", "timed"), [("", "", False), ('"bytes"]', '"p50_us"]', True), ("bytes_at_most", "p99_us_at_most", True)]
)
def test_latency_is_asked_for_when_an_objective_or_a_goal_needs_it(bench: Bench, before: str, after: str, timed: bool) -> None:
    executor = Pretended()
    bench.found(RECIPE.replace(before, after), executor)
    assert {one.timed for one in executor.jobs} == {timed}


def test_progress_goes_up_to_the_number_of_trials(bench: Bench) -> None:
    told: list[tuple[str, int, int]] = []
    bench.found(tell=lambda *one: told.append(one))
    assert told == sorted(told)
    assert told[-1] == ("search", 20, 20)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("width =", "widht =", "task 'tiny' has no hyperparameter 'widht': did you mean 'width'?"),
        ("{ low = 1, high = 64 }", '{ choices = ["a"] }', "'task.width' may be 'a': task 'tiny' takes values of type int"),
        ("{ low = 1, high = 64 }", "{ low = 1.5, high = 64 }", "'task.width' may be 1.5: task 'tiny' takes values of type int"),
        ("onnx-int8", "coreml-fp16", "accuracy of variant 'coreml-fp16' cannot be measured here"),
    ],
)
def test_says_what_only_the_task_and_the_machine_know(bench: Bench, before: str, after: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        bench.found(RECIPE.replace(before, after))
    assert says in str(caught.value)


def test_whole_numbers_of_a_real_hyperparameter_are_a_range_of_real_numbers(bench: Bench) -> None:
    report = bench.found(RECIPE.replace("width = { low = 1, high = 64 }", "dropout = { low = 0, high = 1 }")).report
    assert all(0 < float(one.point["task.dropout"]) < 1 for one in report.trials)


@pytest.mark.parametrize(
    ("gradient", "options", "says"),
    [
        ("implicit", "learning_rate = { low = 1e-4, high = 1e-2 }", "has no implicit gradient, since where training ends does not depend"),
        ("unrolled", "focal_gamma = { low = 0.5, high = 4.0 }", "has no gradient where the loss is not the focal one"),
        ("implicit", 'weight_decay = { low = 0.0, high = 0.1 }\noptimiser = "adamw"', "is no part of a loss"),
    ],
)
def test_a_dimension_without_gradient_gets_a_sentence(bench: Bench, gradient: str, options: str, says: str) -> None:
    text = f'[search]\nmethod = "gradient"\ngradient = "{gradient}"\n[[passes]]\nuse = "finetune"\n{options}\n[[variants]]\nuse = "onnx-fp32"\n'
    with pytest.raises(InvalidInput) as caught:
        bench.found(text)
    assert says in str(caught.value)
