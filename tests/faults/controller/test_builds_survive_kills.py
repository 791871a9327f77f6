"""Kills around a build on the controller: it ends well, or with a sentence, and leaves neither processes nor half a version."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from controller_process import ControllerProcess, wait_for_end

pytestmark = pytest.mark.integration
TASK = Path(__file__).parents[2] / "support" / "tiny_task"
WAIT_S = 90.0
Started = Callable[..., ControllerProcess]


def queue(controller: ControllerProcess, **settings: object) -> int:
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    made = controller.run("build", TASK, "--recipe", TASK / "recipe.toml", "--on-controller", "--detach", "--json", *given)
    assert made.code == 0, made.err
    number: int = made.document["build"]
    return number


def wait(controller: ControllerProcess, number: int, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found: dict[str, Any] = controller.run("builds", "show", str(number), "--json").document
        if holds(found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"not in {WAIT_S} s: {found}")


def ended(found: dict[str, Any]) -> bool:
    return found["state"] in ("succeeded", "failed", "cancelled")


def training(found: dict[str, Any]) -> bool:
    return found["state"] == "running" and found["stage"] == "train" and found["done"] >= 1


def children(controller: ControllerProcess) -> list[psutil.Process]:
    """Processes of builds."""
    return [one for one in controller.tree() if "argosy_controller.pipeline.processes.job" in " ".join(one.cmdline())]


def versions(controller: ControllerProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = controller.run("models", "list", "--json").document
    return found


def test_killed_controller_takes_its_build_up_again(started: Started) -> None:
    controller = started()
    number = queue(controller, slow=1.5)
    wait(controller, number, training)
    jobs = children(controller)
    assert jobs
    controller.end(signal.SIGKILL)
    assert wait_for_end(jobs, 10) == []
    controller.start()
    found = wait(controller, number, ended)
    assert (found["state"], found["version"]) == ("succeeded", 1), found["reason"]
    assert [one["versions"] for one in versions(controller)] == [1]


def test_controller_that_is_stopped_ends_its_builds_in_time(started: Started) -> None:
    controller = started()
    wait(controller, queue(controller, slow=60), lambda found: found["state"] == "running")
    jobs = children(controller)
    assert controller.end() < 9
    assert wait_for_end(jobs, 1) == []


def test_killed_child_is_a_failed_build_with_a_sentence(controller: ControllerProcess) -> None:
    number = queue(controller, slow=60)
    wait(controller, number, lambda found: bool(children(controller)) and found["stage"] == "train")
    children(controller)[0].kill()
    found = wait(controller, number, ended)
    assert found["state"] == "failed" and "was killed: the system ran out of memory, or somebody ended it" in found["reason"]
    assert versions(controller) == []


def test_cancelled_build_leaves_no_process_and_no_version(controller: ControllerProcess) -> None:
    number = queue(controller, slow=60)
    wait(controller, number, lambda found: bool(children(controller)) and found["stage"] == "train")
    jobs = children(controller)
    done = controller.run("builds", "cancel", str(number), "--json")
    assert done.code == 0 and done.document["state"] == "cancelled"
    assert wait_for_end(jobs, 1) == [] and versions(controller) == []
    assert not (controller.data / "builds" / str(number) / "in").exists()
    assert controller.run("builds", "cancel", str(number)).code == 5


def test_build_that_takes_too_long_is_ended(started: Started) -> None:
    controller = started("--build-time", "8s")
    found = wait(controller, queue(controller, slow=60), ended)
    assert found["state"] == "failed" and "it ran longer than 8 s" in found["reason"]
    assert versions(controller) == [] and children(controller) == []


@pytest.mark.parametrize(
    ("fail", "sentence"),
    [
        ("memory", "needs more memory than this job may use (16.0 GiB of addresses)"),
        ("raise", "training of task 'tiny' failed: ValueError: this task cannot be trained (task.py line"),
    ],
)
def test_limits_and_errors_end_a_build_with_a_sentence(controller: ControllerProcess, fail: str, sentence: str) -> None:
    found = wait(controller, queue(controller, fail=fail), ended)
    assert found["state"] == "failed" and sentence in found["reason"]
    assert versions(controller) == [] and children(controller) == []
