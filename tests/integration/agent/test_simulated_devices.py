"""Many devices in a process, against the same fleet as a real one."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest
from agent_process import PYTHON
from fleet_double import FleetDouble, wait_for
from versions import version

pytestmark = pytest.mark.integration


def test_simulated_devices_enrol_connect_and_confirm(broker: FleetDouble, tmp_path: Path) -> None:
    broker.uses = 20
    content = version(broker, tmp_path, 1)
    process = subprocess.Popen(
        [PYTHON, "-m", "argosy_agent.cli", "simulate", broker.line(), "--devices", "20", "--state", str(tmp_path / "sim"), "--timeout", "40s"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    killer = threading.Timer(60, process.kill)
    killer.start()
    try:
        assert process.stderr and process.stdout
        said = process.stderr.readline()
        assert said == "ready\n", said + process.stderr.read()
        for name in broker.devices:
            broker.generation = 0
            broker.wish(name, {"tiny": content})
        out = process.stdout.read()
        assert process.wait(10) == 0, process.stderr.read()
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    summary = json.loads(out)
    assert (summary["devices"], summary["refusals"]) == (20, 0)
    [generation] = summary["generations"]
    assert (generation["told"], generation["confirmed"]) == (20, 20)
    assert generation["confirmed_s"]["first"] >= 0.9, "the health window was kept"
    wait_for(lambda: len(broker.reported) == 20 and all(one.slots["tiny"].confirmed for one in broker.reported.values()))
    wait_for(lambda: all(seen[-1] is False for seen in broker.presence.values()))
