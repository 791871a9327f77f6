"""Networks, disks and controllers as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, agent_command
from fleet_double import FleetDouble, wait_for
from small_models import cnn_bytes, write_onnx_variant
from versions import ask, version

from argosy.protocol.desired import SlotContent

pytestmark = pytest.mark.integration


def _large(fleet: FleetDouble, folder: Path, number: int) -> SlotContent:
    where = folder / f"large{number}"
    return fleet.register(where, write_onnx_variant(where, cnn_bytes(number, channels=64, layers=3), version=number))


def test_broken_download_is_resumed_where_it_broke(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    content = _large(broker, tmp_path, 1)
    broker.faults.break_after = [100_000]
    agent = start_agent()
    broker.wish("dev", {"tiny": content})
    agent.wait_serving("tiny", 1)
    ranges = [headers["Range"] for _, _, headers, status in broker.requests if status == 206]
    assert len(ranges) == 1
    assert 0 < int(ranges[0].removeprefix("bytes=").rstrip("-")) <= 100_000


def test_slow_retrieval_is_cut_off_and_tried_again(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    content = _large(broker, tmp_path, 1)
    agent = start_agent()
    agent.terminate()
    (agent.state / "agent.toml").write_text("min_rate = 100000.0\nrate_window_s = 0.5\n")
    broker.faults.trickle = 2000.0
    agent.start()
    broker.wish("dev", {"tiny": content})
    wait_for(lambda: "download-failed" in broker.codes("dev"), what=agent.log())
    broker.faults.trickle = 0.0
    agent.wait_serving("tiny", 1)


def test_being_shed_is_not_failing(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent()
    content = version(broker, tmp_path, 1)
    wait_for(lambda: "started" in broker.kinds("dev"))
    broker.faults.shed = 3
    broker.wish("dev", {"tiny": content})
    agent.wait_serving("tiny", 1)
    assert broker.codes("dev") == []


def test_full_disk_is_an_event_and_not_an_end(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent()
    agent.terminate()
    (agent.state / "agent.toml").write_text(f"margin_bytes = {shutil.disk_usage(tmp_path).total}\n")
    agent.start()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    wait_for(lambda: "no-space" in broker.codes("dev"), what=agent.log())
    assert not [path for path in (agent.state / "store" / "partial").iterdir() if path.stat().st_size]
    agent.terminate()
    (agent.state / "agent.toml").unlink()
    agent.start()
    agent.wait_serving("tiny", 1)


def test_broker_that_withholds_the_wish_is_got_round(fleet: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    fleet.wish("dev", {"tiny": version(fleet, tmp_path, 1)}, send=False)
    agent = start_agent()  # no broker at all
    agent.wait_serving("tiny", 1)
    assert agent.status()["connected"] is False


def test_device_without_network_serves_after_a_restart(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    assert agent.terminate() == 0
    broker.stop_http()
    broker.stop_broker()
    agent.start()
    agent.wait_serving("tiny", 1)
    assert ask(agent) == 1.0
    broker.start_http()


def test_what_happened_offline_arrives_later(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent("dev", "--poll-interval", "1s", "--telemetry-interval", "500ms")
    one, two = version(broker, tmp_path, 1), version(broker, tmp_path, 2)
    broker.wish("dev", {"tiny": one})
    agent.wait_serving("tiny", 1)
    broker.stop_broker()
    broker.wish("dev", {"tiny": two}, send=False)
    agent.wait_serving("tiny", 2)
    for _ in range(10):
        assert ask(agent) == 2.0
    broker.start_broker()
    wait_for(lambda: broker.kinds("dev").count("confirmed") == 2, 40, what=str(broker.kinds("dev")))
    wait_for(lambda: broker.reported["dev"].slots["tiny"].content == two)
    wait_for(lambda: sum(w.requests for w in broker.windows.values() if w.version == 2) == 10, what=str(broker.windows))
    keys = [(event.boot, event.sequence) for event in broker.events]
    assert len(set(keys)) == len({(e.boot, e.sequence, e.kind, e.text) for e in broker.events}), "a key names one event"


def test_status_of_a_stopped_agent_says_so(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    agent = start_agent()
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)
    assert agent.terminate() == 0
    done = agent_command("status", "--json", "--state", str(agent.state))
    status = json.loads(done.stdout)
    assert (done.returncode, "does not run" in done.stderr) == (7, True)
    assert (status["connected"], status["slots"]["tiny"]["state"]) == (False, "stopped")
    assert status["slots"]["tiny"]["version"] == 1
    wait_for(lambda: broker.presence["dev"][-1] is False)
    assert agent_command("run", "--state", str(agent.state), "--endpoint", "nonsense").returncode == 2
