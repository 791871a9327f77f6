"""Children start without secrets, keep within limits and die with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from argosy_agent.children import child_environment, start_python


def test_child_environment_has_no_secrets():
    given = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "ARGOSY_TOKEN": "x", "ARGOSY_STATE": "/s", "LD_PRELOAD": "x", "RANDOM": "x"}
    assert child_environment(given) == {"PATH": "/bin", "ARGOSY_STATE": "/s"}


@pytest.fixture
def module(tmp_path):
    """Runs a snippet as a module of its own, confined."""

    def start(code, **kwargs):
        (tmp_path / "confined_snippet.py").write_text("from argosy_agent.children import Limits, confine\n" + code)
        path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        return start_python("confined_snippet", [], extra_env={"PYTHONPATH": path}, **kwargs)

    return start


@pytest.mark.integration
def test_child_cannot_take_more_memory_than_its_limit(module):
    child = module("confine(Limits(memory_bytes=1 << 30))\ntry:\n    bytearray(2 << 30)\nexcept MemoryError:\n    raise SystemExit(7)\n")
    assert child.wait(20) == 7


@pytest.mark.integration
def test_child_is_killed_when_its_processor_time_is_used_up(module):
    child = module("confine(Limits(cpu_s=1))\nwhile True:\n    pass\n")
    assert child.wait(20) in (-signal.SIGXCPU, -signal.SIGKILL)


@pytest.mark.integration
def test_child_has_lowest_priority_and_no_core_dumps(module):
    code = "import os, resource\nconfine(Limits(nice=19))\nprint(os.nice(0), *resource.getrlimit(resource.RLIMIT_CORE))\n"
    child = module(code, stdout=subprocess.PIPE)
    assert child.communicate(timeout=20)[0].split() == [b"19", b"0", b"0"]


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_child_dies_with_its_parent(tmp_path):
    (tmp_path / "sleeping_child.py").write_text(
        "import time, os\nfrom argosy_agent.children import Limits, confine\nconfine(Limits())\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    (tmp_path / "parent_of_child.py").write_text(
        "import os, signal, sys\nfrom argosy_agent.children import start_python\n"
        "child = start_python('sleeping_child', [], stdout=-1)\n"
        "print(child.stdout.readline().decode(), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    ran = subprocess.run(
        [sys.executable, "-m", "parent_of_child"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=30
    )
    pid, deadline = int(ran.stdout), time.monotonic() + 10
    while _lives(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
