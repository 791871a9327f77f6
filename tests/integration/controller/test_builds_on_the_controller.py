"""`controller build --on-controller` and `controller builds`, against a real controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from controller_process import ControllerProcess, Ended, run_controller

pytestmark = pytest.mark.integration
TASK = Path(__file__).parents[2] / "support" / "tiny_task"
GOALS = "[goals]\naccuracy_at_least = 1.0\n[[variants]]\nuse = 'onnx-fp32'\n"


@pytest.fixture(scope="module")
def built(controller: ControllerProcess) -> Ended:
    """A build that is done."""
    line = ("build", TASK, "--recipe", TASK / "recipe.toml", "--on-controller", "--set", "fail=print", "--json")
    return controller.run(*line)


def test_build_on_the_controller_is_registered(controller: ControllerProcess, built: Ended) -> None:
    assert built.code == 0, built.err
    found = built.document
    assert (found["state"], found["model"], found["version"], found["reason"]) == ("succeeded", "tiny", 1, "")
    assert {"stage", "done", "total", "left_s", "created_by", "started", "ended"} <= set(found)
    shown = controller.run("models", "show", "tiny", "--json").document
    assert [one["name"] for one in shown["versions"][0]["variants"]] == ["onnx-fp32"]
    assert "export onnx-fp32" in built.err or "measure onnx-fp32" in built.err  # a quick stage may pass between two looks


def test_child_sees_no_secret_and_lives_in_a_folder_of_its_own(controller: ControllerProcess, built: Ended) -> None:
    log = controller.run("builds", "log", str(built.document["build"]))
    assert "secrets: [] home" in log.out


def test_lists_are_for_people_and_scripts(controller: ControllerProcess, built: Ended) -> None:
    assert "tiny@1" in controller.run("builds", "list").out
    assert [one["build"] for one in controller.run("builds", "list", "--json").document][-1] == built.document["build"]


def test_only_its_report_stays_on_the_controller(controller: ControllerProcess, built: Ended) -> None:
    root = controller.data / "builds" / str(built.document["build"])
    assert sorted(one.name for one in root.iterdir()) == ["log.txt", "out"]
    assert sorted(one.name for one in (root / "out").iterdir()) == ["report.html", "report.json"]


def test_missed_goals_end_with_their_exit_code_and_a_table(controller: ControllerProcess, tmp_path: Path) -> None:
    (tmp_path / "goals.toml").write_text(GOALS)
    ended = controller.run("build", TASK, "--recipe", tmp_path / "goals.toml", "--on-controller")
    assert ended.code == 10 and "accuracy_at_least" in ended.err and "was not met" in ended.err


def test_mistakes_are_told_before_anything_is_sent(controller: ControllerProcess, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[[variants]]\nuse = 'onnx-fp31'\n")
    wrong = controller.run("build", TASK, "--recipe", tmp_path / "r.toml", "--on-controller")
    assert wrong.code == 2 and "r.toml line 2" in wrong.err
    missing = controller.run("build", tmp_path, "--recipe", TASK / "recipe.toml", "--on-controller")
    assert missing.code == 4 and "no task.py" in missing.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--out", "x", "--on-controller"), "--on-controller builds elsewhere"),
        (("--out", "x", "--keep", "y"), "--out registers nothing"),
        (("--out", "x", "--publisher-key", "k"), "--out registers nothing"),
        (("--detach",), "--detach goes with --on-controller only"),
        (("--no-register",), "--no-register needs --out"),
    ],
)
def test_options_that_contradict_are_refused(options: tuple[str, ...], sentence: str) -> None:
    ended = run_controller("build", TASK, "--recipe", TASK / "recipe.toml", *options)
    assert ended.code == 2 and sentence in ended.err


def test_out_needs_no_controller_and_registers_nothing(tmp_path: Path) -> None:
    line = ("build", TASK, "--recipe", TASK / "recipe.toml", "--out", tmp_path / "out", "--json")
    ended = run_controller(*line, environment={"ARGOSY_CACHE": str(tmp_path / "cache")}, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.document["version"] == 0 and sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "report.html",
        "report.json",
        "variants",
    ]
    assert list((tmp_path / "cache" / "builds").iterdir())
