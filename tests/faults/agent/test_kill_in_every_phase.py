"""SIGKILL to the supervisor, or to the worker, while a real update goes through its phases."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess
from fleet_double import FleetDouble, wait_for
from small_models import cnn_bytes, write_onnx_variant
from versions import ask, version

from argosy.protocol.desired import Gates

pytestmark = pytest.mark.integration


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def _worker(agent: AgentProcess) -> int:
    return next(pid for pid in _children(agent.pid) if b"argosy_agent.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("phase", ["Queued", "Fetching", "Proving", "Loading", "Swapping", "Watching"])
def test_kill_in_a_phase_still_reaches_the_new_version(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path, phase: str
) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    where = tmp_path / "large"
    model = cnn_bytes(2, channels=64, layers=4)
    two = broker.register(where, write_onnx_variant(where, model, version=2))
    broker.faults.trickle = 200_000.0 if phase == "Fetching" else 0.0
    children = _children(agent.pid)
    # The record is written before anything is done, so the phase is seen on disk; a fast one may be over already.
    broker.wish("dev", {"tiny": two}, Gates(window_s=1.5))
    wait_for(
        lambda: (
            agent.record("tiny").get("phase", {}).get("type") == phase or agent.record("tiny").get("serving", {}).get("confirmed") is False
        )
    )
    agent.kill()
    wait_for(lambda: not any(_is_alive(pid) for pid in children), what="worker and probe die with the supervisor")
    broker.faults.trickle = 0.0
    agent.start()
    agent.wait_serving("tiny", 2)
    assert broker.codes("dev") == []


def test_worker_death_in_the_window_is_charged_to_the_new_version(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    broker.wish("dev", {"tiny": version(broker, tmp_path, 2)}, Gates(window_s=30.0))
    agent.wait_serving("tiny", 2, confirmed=False)
    os.kill(_worker(agent), signal.SIGKILL)
    agent.wait_serving("tiny", 1)
    assert ask(agent) == 1.0
    wait_for(lambda: "worker-died" in broker.codes("dev"))
    assert "went-back" in broker.kinds("dev")


def test_worker_death_later_is_healed_on_the_same_endpoint(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    endpoint, worker = agent.status()["endpoint"], _worker(agent)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: "worker-died" in broker.kinds("dev"))
    agent.wait_serving("tiny", 1)
    assert agent.status()["endpoint"] == endpoint
    assert _worker(agent) != worker
    assert broker.codes("dev") == []


def test_kill_while_offline_loses_no_window(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent("dev", "--telemetry-interval", "500ms")
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    broker.stop_broker()
    for _ in range(20):
        ask(agent)
    wait_for(lambda: list((agent.state / "spool").glob("*-window*")))
    wait_for(lambda: not agent.status()["connected"])
    spooled = list((agent.state / "spool").glob("*-window*"))
    agent.kill()
    broker.start_broker()
    agent.start()
    wait_for(lambda: len(broker.windows) >= len(spooled), 40)
    wait_for(lambda: not any(path.exists() for path in spooled), 40)
