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

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TASK = '''
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
    settings = {"notes": "folder for notes"}
    epochs, width, learning_rate = 3, 16, 3e-3
    deadly = 0

    def note(self, what):
        with (Path(self.given["notes"]) / what).open("a") as file:
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
    """A task's folder, a cache, and builds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "task").mkdir()
        (folder / "notes").mkdir()
        (folder / "task" / "task.py").write_text(TASK)
        self._builds = 0

    def build(self, recipe: str, cache: bool = True) -> Any:
        self._builds += 1
        path, out = self.folder / "recipe.toml", self.folder / f"out-{self._builds}"
        path.write_text(recipe)
        kept = self.folder / "cache" if cache else None
        run_build(self.folder / "task", path, out, None, {"notes": str(self.folder / "notes")}, 0, lambda told: None, cache=kept)
        return json.loads((out / "report.json").read_text())

    def noted(self, what: str) -> int:
        path = self.folder / "notes" / what
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _told(report: Any) -> list[Any]:
    return [(one["point"], one["values"], one["state"]) for one in report["search"]["trials"]]


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
    first = bench.build(text)
    batches, scored = bench.noted("batches"), bench.noted("scored-90")
    again = bench.build(text + "# not the same file: the bundle is made again, of what is known\n")
    assert _told(again) == _told(first)
    assert (bench.noted("batches"), bench.noted("scored-90")) == (batches, scored)
    more = bench.build(text.replace("trials = 3", "trials = 5"))
    assert _told(more)[:3] == _told(first)
    assert bench.noted("scored-90") == scored + 2


def test_one_worker_and_two_find_the_same(bench: Bench) -> None:
    text = HEAD + "trials = 3\n" + PRUNED + TAIL
    two = bench.build(text, cache=False)
    one = bench.build(text.replace("workers = 2", "workers = 1"), cache=False)
    assert _told(one) == _told(two)
    assert one["variants"][0]["sha256"] == two["variants"][0]["sha256"]


def test_a_candidate_that_ends_its_process_is_a_failed_trial(bench: Bench) -> None:
    report = bench.build(HEAD.replace("random", "grid") + "[task]\ndeadly = { choices = [1, 2, 3] }\n" + TAIL)
    states = {one["point"]["task.deadly"]: one for one in report["search"]["trials"]}
    assert [states[number]["state"] for number in (1, 2, 3)] == ["complete", "failed", "complete"]
    assert "the worker's process died" in states[2]["reason"]


def test_hopeless_trials_are_given_up_and_say_why(bench: Bench) -> None:
    text = HEAD.replace("random", "grid") + "hopeless = 0.5\n[task]\nepochs = 6\nlearning_rate = { choices = ["
    text += ", ".join(str(rate) for rate in [3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3, 9e-3, 1e-2, 2e-3, 3.5e-3, 4.5e-3, 1e-6, 2e-6]) + "] }\n"
    trials = bench.build(text + TAIL)["search"]["trials"]
    assert [one["state"] for one in trials[:11]] == ["complete"] * 11
    assert [one["state"] for one in trials[11:]] == ["hopeless"] * 2
    assert "given up after epoch 2 of the first training" in trials[-1]["reason"]


def test_latency_is_measured_as_an_objective(bench: Bench) -> None:
    report = bench.build(HEAD.replace("random", "grid") + 'objectives = ["p50_us"]\n[task]\nwidth = { choices = [8, 2048] }\n' + TAIL)
    small, large = report["search"]["trials"]
    assert 0 < small["values"]["p50_us"] < large["values"]["p50_us"]
    assert report["search"]["chosen"] == 0


def test_gradient_goes_down(bench: Bench) -> None:
    text = '[search]\nmethod = "gradient"\ntrials = 4\nstep = 0.3\nobjectives = ["accuracy"]\n[task]\noptimiser = "sgd"\n'
    text += "learning_rate = { low = 1e-4, high = 0.5, log = true }\n" + TAIL
    trials = bench.build(text)["search"]["trials"]
    rates = [one["point"]["task.learning_rate"] for one in trials]
    assert rates[0] < rates[1]  # the middle of this range learns too little in three epochs
    assert trials[-1]["values"]["accuracy"] > trials[0]["values"]["accuracy"]


BUILD = """
import sys
from pathlib import Path
from argosy_controller.pipeline.build import run_build
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    settings = {"notes": str(folder / "notes")}
    run_build(folder / "task", folder / "recipe.toml", folder / "out", None, settings, 0, lambda told: None, cache=folder / "cache")
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
