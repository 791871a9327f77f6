"""Searches with real processes, real trainings and real files, on scikit-learn's digits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.caching.remembering import remembering
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.report import SearchReport
from argosy_controller.pipeline.search.searching import searched
from argosy_controller.pipeline.task import checked_data, load_task

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TASK = '''
import os
from pathlib import Path
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from argosy_controller.pipeline.task import Data, Split, Task

class Counted(Task):
    """A small network on the digits that writes down what is done with it."""

    name = "counted"
    outputs = ("logits",)
    epochs, width, learning_rate = 3, 16, 3e-3
    deadly = 0

    def note(self, what):
        with (Path("NOTES") / what).open("a") as file:
            file.write("x")

    def data(self, seed):
        digits = load_digits()
        every = Split({"image": (digits.images / 16).astype(np.float32)}, digits.target)
        return Data(train=every.take(slice(0, 600)), test=every.take(slice(600, 1000)))

    def model(self, seed):
        if self.deadly == 2:
            os._exit(9)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, self.width), nn.ReLU(), nn.Linear(self.width, 10))

    def augment(self, inputs, random):
        self.note("batches")
        return inputs

    def score(self, outputs, targets):
        self.note(f"scored-{len(targets)}")
        return outputs["logits"].argmax(axis=-1) == targets
'''
HEAD = '[search]\nmethod = "random"\nworkers = 2\n'
TAIL = '[[variants]]\nuse = "onnx-fp32"\n'
PRUNED = '[[passes]]\nuse = "prune-magnitude"\nshare = { low = 0.3, high = 0.99 }\n[[passes]]\nuse = "finetune"\nepochs = 1\n'


class Bench:
    """A task's folder, a cache, searches and builds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "task").mkdir()
        (folder / "notes").mkdir()
        (folder / "task" / "task.py").write_text(TASK.replace("NOTES", str(folder / "notes")))

    def build(self, text: str) -> Any:
        """The report of a whole build."""
        (self.folder / "recipe.toml").write_text(text)
        out = self.folder / "out"
        run_build(self.folder / "task", self.folder / "recipe.toml", out, None, {}, 0, lambda told: None, cache=self.folder / "cache")
        return json.loads((out / "report.json").read_text())

    def search(self, text: str, cache: str = "cache") -> SearchReport:
        """The search of a recipe, without the build of its winner."""
        folder, kept = self.folder / "task", str(self.folder / cache)
        recipe = parse_recipe(text)
        request = BuildRequest(task=str(folder), recipe=str(self.folder / "recipe.toml"), out="", model="", settings={}, seed=0, cache=kept)
        task = load_task(folder, {})
        task.set_hyperparameters(recipe.hyperparameters)
        memory = remembering(request, task, 1)
        return searched(request, recipe, task, checked_data(task, 0), memory, lambda *told: None).report

    def noted(self, what: str) -> int:
        path = self.folder / "notes" / what
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _told(report: SearchReport) -> list[Any]:
    return [(one.point, one.values, one.state) for one in report.trials]


def test_search_builds_its_winner_on_all_data_and_measures_it_once_on_test_data(bench: Bench) -> None:
    report = bench.build(HEAD + 'trials = 4\nobjectives = ["accuracy", "not_zero"]\n' + PRUNED + TAIL)
    search = report["search"]
    assert [one["state"] for one in search["trials"]] == ["complete"] * 4
    assert "90 validation examples" in search["judged_on"]
    chosen = search["trials"][search["chosen"]]
    assert chosen["values"]["accuracy"] == max(one["values"]["accuracy"] for one in search["trials"])
    assert any(one["front"] for one in search["trials"])
    assert report["steps"][1]["options"]["share"] == chosen["point"]["prune-magnitude.share"]
    assert report["variants"][0]["accuracy"]["examples"] == 400
    assert "random, 4 candidates" in report["lineage"]["search"]
    assert bench.noted("scored-90") == 4  # no candidate was ever shown the test data


def test_the_same_search_again_recomputes_nothing_and_more_trials_go_on(bench: Bench) -> None:
    text = HEAD + "trials = 3\n" + PRUNED + TAIL
    first = bench.search(text)
    batches, scored = bench.noted("batches"), bench.noted("scored-90")
    assert bench.search(text) == first
    assert (bench.noted("batches"), bench.noted("scored-90")) == (batches, scored)
    more = bench.search(text.replace("trials = 3", "trials = 5"))
    assert _told(more)[:3] == _told(first)
    assert bench.noted("scored-90") == scored + 2


@pytest.mark.slow
def test_one_worker_and_two_find_the_same(bench: Bench) -> None:
    text = HEAD + "trials = 3\n" + PRUNED + TAIL
    assert _told(bench.search(text.replace("workers = 2", "workers = 1"), "one")) == _told(bench.search(text, "two"))


def test_a_candidate_that_ends_its_process_is_a_failed_trial(bench: Bench) -> None:
    report = bench.search(HEAD.replace("random", "grid") + "[task]\ndeadly = { choices = [1, 2, 3] }\n" + TAIL)
    assert [one.state for one in report.trials] == ["complete", "failed", "complete"]
    assert "the worker's process died" in report.trials[1].reason


@pytest.mark.slow
def test_hopeless_trials_are_given_up_and_say_why(bench: Bench) -> None:
    text = HEAD.replace("random", "grid") + "hopeless = 0.5\n[task]\nepochs = 6\nlearning_rate = { choices = ["
    rates = [3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2, 2e-3, 3.5e-3, 4.5e-3, 1e-6, 2e-6]
    trials = bench.search(text + ", ".join(map(str, rates)) + "] }\n" + TAIL).trials
    assert [one.state for one in trials[:11]] == ["complete"] * 11
    assert [one.state for one in trials[11:]] == ["hopeless"] * 2
    assert "given up after epoch 2 of the first training" in trials[-1].reason


def test_latency_is_measured_as_an_objective(bench: Bench) -> None:
    report = bench.search(HEAD.replace("random", "grid") + 'objectives = ["p50_us"]\n[task]\nwidth = { choices = [8, 4096] }\n' + TAIL)
    small, large = report.trials
    assert 0 < small.values["p50_us"] < large.values["p50_us"]
    assert report.chosen == 0


@pytest.mark.parametrize(
    ("gradient", "options"),
    [
        ("unrolled", '[task]\noptimiser = "sgd"\nlearning_rate = { low = 1e-4, high = 0.1, log = true }\n'),
        ("implicit", '[[passes]]\nuse = "finetune"\noptimiser = "sgd"\nweight_decay = { low = 1e-4, high = 0.9, log = true }\n'),
    ],
    ids=["unrolled", "implicit"],
)
def test_gradient_goes_down(bench: Bench, gradient: str, options: str) -> None:
    text = f'[search]\nmethod = "gradient"\ngradient = "{gradient}"\ntrials = 4\nstep = 0.15\n' + options + TAIL
    trials = bench.search(text).trials
    assert [one.state for one in trials] == ["complete"] * 4
    (first, second), name = trials[:2], next(iter(trials[0].point))
    assert first.point[name] != second.point[name]
    if gradient == "unrolled":  # the middle of this range learns too little in three epochs
        assert second.point[name] > first.point[name]
        assert max(one.values["accuracy"] for one in trials[1:]) > first.values["accuracy"]


BUILD = """
import sys
from pathlib import Path
from argosy_controller.pipeline.build import run_build
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run_build(folder / "task", folder / "recipe.toml", folder / "first", None, {}, 0, lambda told: None, cache=folder / "cache")
"""


def _until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _finished(folder: Path) -> int:
    return sum(one.read_bytes().count(b"\n") for one in (folder / "cache" / "search").glob("*.jsonl"))


def _running_below(folder: Path) -> list[int]:
    """Processes that have a file of this folder's cache open, or were started with its name."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            links = [str(fd.readlink()) for fd in (one / "fd").iterdir()] if one.name.isdigit() else []
        except OSError:
            continue
        found += [int(one.name)] if any(link.startswith(str(folder)) for link in links) else []
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_search_leaves_no_worker_and_goes_on_where_it_was(bench: Bench, tmp_path: Path) -> None:
    text = HEAD + "trials = 6\n" + PRUNED + TAIL
    (tmp_path / "recipe.toml").write_text(text)
    (tmp_path / "build.py").write_text(BUILD)
    child = subprocess.Popen([sys.executable, str(tmp_path / "build.py"), str(tmp_path)])
    try:
        _until(lambda: _finished(tmp_path) >= 2)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        _until(lambda: not _running_below(tmp_path / "cache"))
    finally:
        child.kill()
        child.wait()
    kept, scored = _finished(tmp_path), bench.noted("scored-90")
    assert 2 <= kept < 6
    report = bench.build(text)
    assert [one["state"] for one in report["search"]["trials"]] == ["complete"] * 6
    assert bench.noted("scored-90") == scored + 6 - kept
