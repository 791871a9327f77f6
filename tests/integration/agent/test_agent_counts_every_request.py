"""Every request is in exactly one window: over swaps, from other processes, and over a clean stop."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import PYTHON, AgentProcess
from fleet_double import FleetDouble, wait_for
from versions import ask, version

pytestmark = pytest.mark.integration
IN_PROCESS = """
import sys, numpy
from argosy_agent import Slot
with Slot("tiny", state=sys.argv[1]) as tiny:
    for _ in range(25):
        tiny.predict({"x": numpy.zeros((1, 4), numpy.float32)})
"""


def _counted(fleet: FleetDouble) -> Counter[int]:
    counted: Counter[int] = Counter()
    for window in fleet.windows.values():
        counted[window.version] += window.requests
    return counted


def test_every_request_is_counted_once_over_a_swap_and_a_stop(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    agent = start_agent("dev", "--telemetry-interval", "700ms")
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    sent: Counter[int] = Counter()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            sent[int(ask(agent))] += 1

    client = threading.Thread(target=load)
    client.start()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)})
    agent.wait_serving("tiny", 2)
    stop.set()
    client.join(10)
    done = subprocess.run([PYTHON, "-c", IN_PROCESS, str(agent.state)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    sent[2] += 25
    sent[int(ask(agent))] += 1
    assert agent.terminate() == 0
    wait_for(lambda: _counted(broker) == sent, 5, what=f"{_counted(broker)} of {sent}")
    assert sent[1] > 10
    assert sent[2] > 35
    assert list((agent.state / "spool").glob("0*")) == []


def test_supervisor_loads_no_numpy_and_no_runtime(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    mapped = Path(f"/proc/{agent.pid}/maps").read_text()
    assert "cryptography" in mapped
    for heavy in ("numpy", "onnxruntime", "tflite", "litert", "torch"):
        assert heavy not in mapped
