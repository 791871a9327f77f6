"""The line from a desired document to a served model, with real processes, TLS, TUF and broker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from agent_process import AgentProcess, agent_command
from fleet_double import FleetDouble, wait_for
from versions import version

pytestmark = pytest.mark.integration


def test_takes_a_version_serves_it_and_takes_the_next(
    broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    agent = start_agent()
    one, two = version(broker, tmp_path, 1), version(broker, tmp_path, 2)
    broker.wish("dev", {"tiny": one})
    agent.wait_serving("tiny", 1)
    broker.wish("dev", {"tiny": two})
    agent.wait_serving("tiny", 2)

    np.savez(tmp_path / "x.npz", x=np.zeros((1, 4), np.float32))
    done = agent_command("predict", "tiny", "--input", str(tmp_path / "x.npz"), "--state", str(agent.state), "--json")
    assert json.loads(done.stdout)["outputs"]["y"] == [[2.0] * 4], done.stderr
    status = json.loads(agent_command("status", "--json", "--state", str(agent.state)).stdout)
    assert status["slots"]["tiny"]["sha256"] == two.sha256
    assert status["slots"]["tiny"]["state"] == "serving"
    served = agent.state / "variants" / "tiny@2+onnx-fp32" / "model.onnx"
    assert hashlib.sha256(served.read_bytes()).hexdigest() == two.sha256
    wait_for(lambda: broker.reported["dev"].slots["tiny"].confirmed and broker.reported["dev"].generation == 2)
    wait_for(lambda: broker.kinds("dev").count("confirmed") == 2, what=str(broker.kinds("dev")))
    assert broker.presence["dev"][-1] is True
