"""The same fleet and agents as the integration tests have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from agent_process import AgentProcess
from fleet_double import MOSQUITTO, FleetDouble


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[FleetDouble]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path / "fleet"
    folder.mkdir()
    fleet = FleetDouble(folder)
    fleet.start_broker()
    yield fleet
    fleet.close()


@pytest.fixture
def start_agent(broker: FleetDouble, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Enrols (once) and starts an agent; ends every one of them."""
    started: list[AgentProcess] = []

    def start(name: str = "dev", *options: str) -> AgentProcess:
        agent = AgentProcess(broker, tmp_path / name, name, options)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        agent.kill()
