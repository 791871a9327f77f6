"""Files that would take down whoever opens them: only the child pays, and the caller gets a sentence."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.importing import run_import
from argosy_controller.pipeline.processes.child import died
from argosy_controller.pipeline.processes.limits import BUILD_LIMITS, IMPORT_LIMITS, Limits

pytestmark = pytest.mark.integration

HEAD = "from argosy_controller.pipeline.task import Task\nimport os, signal, subprocess, sys, time\n"
BODY = "class Mine(Task):\n    name = 'mine'\n    def model(self, seed): ...\n    def data(self, seed):\n        {}\n"
RECIPE = '[[variants]]\nuse = "onnx-fp32"\n'


def _model(nodes: list[object], inputs: list[object], weights: list[object]) -> ModelProto:
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "hostile", inputs, [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _memory_bomb() -> ModelProto:
    size = numpy_helper.from_array(np.array([1 << 36], np.int64), "size")
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("Expand", ["x", "size"], ["big"]), helper.make_node("ReduceSum", ["big"], ["y"])]
    return _model(nodes, [tensor], [size])


def _endless_loop() -> ModelProto:
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    condition = helper.make_tensor_value_info("again", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["again"]), helper.make_node("Add", ["sum", "x"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("before", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1]),
        ],
        [condition, helper.make_tensor_value_info("more", TensorProto.FLOAT, [1])],
    )
    true = numpy_helper.from_array(np.array(True), "true")
    return _model([helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)], [tensor], [true])


def _import(tmp_path: Path, model: ModelProto, limits: Limits) -> Path:
    (tmp_path / "hostile.onnx").write_bytes(model.SerializeToString())
    return run_import("mine", tmp_path / "hostile.onnx", None, (), tmp_path / "out", lambda progress: None, limits=limits)


def _build(tmp_path: Path, statement: str, limits: Limits = BUILD_LIMITS) -> Path:
    (tmp_path / "task.py").write_text(HEAD + BODY.format(statement))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return run_build(tmp_path, tmp_path / "recipe.toml", tmp_path / "out", None, {}, 0, lambda progress: None, limits=limits)


def _limits(memory_bytes: int = IMPORT_LIMITS.memory_bytes, cpu_s: int = 60, wall_s: float = 60) -> Limits:
    return Limits(memory_bytes=memory_bytes, cpu_s=cpu_s, wall_s=wall_s)


def test_model_that_wants_256_gigabytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        _import(tmp_path, _memory_bomb(), _limits())
    assert not (tmp_path / "out").exists()


def test_model_that_computes_without_end_is_stopped_by_processor_time(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="used more than 4 s of processor time"):
        _import(tmp_path, _endless_loop(), _limits(cpu_s=4))


def test_model_that_computes_without_end_is_stopped_by_the_clock(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ran longer than 4 s"):
        _import(tmp_path, _endless_loop(), _limits(wall_s=4))


def test_task_that_kills_its_process_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArgosyError, match=r"the build's process crashed \(SIGSEGV\); nothing was written\. Its last words: goodbye"):
        _build(tmp_path, "print('goodbye', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
    assert not (tmp_path / "out").exists()


def test_task_that_exits_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArgosyError, match=r"crashed \(exit code 3\)"):
        _build(tmp_path, "os._exit(3)")


def test_what_a_task_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(InvalidInput):
        _build(tmp_path, f"p = subprocess.Popen(['sleep', '300']); open({str(note)!r}, 'w').write(str(p.pid)); return None")
    child = int(note.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the sleeping process outlived the build that started it"
        threading.Event().wait(0.05)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (-signal.SIGKILL, "ran longer than 300 s, or the system ran out of memory"),
        (-signal.SIGXCPU, "used more than 300 s of processor time"),
        (-signal.SIGABRT, "crashed (SIGABRT)"),
        (1, "crashed (exit code 1)"),
    ],
)
def test_every_way_to_die_has_a_sentence(code: int, says: str) -> None:
    assert says in str(died(False, code, IMPORT_LIMITS, ""))
    assert isinstance(died(False, code, IMPORT_LIMITS, ""), InvalidInput)
    assert type(died(True, code, IMPORT_LIMITS, "")) is ArgosyError


def test_job_dies_with_its_parent(tmp_path: Path) -> None:
    """The caller is killed outright: no training goes on behind its back."""
    (tmp_path / "task.py").write_text(HEAD + BODY.format(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(300)"))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    caller = os.fork()
    if caller == 0:
        try:
            run_build(tmp_path, tmp_path / "recipe.toml", tmp_path / "out", None, {}, 0, lambda progress: None)
        finally:
            os._exit(0)
    job = int(_text_when_there(tmp_path / "pid"))
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(job) and psutil.Process(job).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the job outlived its caller"
        threading.Event().wait(0.05)


def _text_when_there(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} did not appear"
        threading.Event().wait(0.05)
    return path.read_text()
