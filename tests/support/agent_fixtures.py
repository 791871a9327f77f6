"""Fixtures: a fleet that an agent can be tried against, and agents as real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_process import AgentProcess
from fleet_double import MOSQUITTO, FleetDouble


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetDouble]:
    folder = tmp_path / "fleet"
    folder.mkdir()
    double = FleetDouble(folder)
    yield double
    double.close()


@pytest.fixture
def broker(fleet: FleetDouble) -> FleetDouble:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    fleet.start_broker()
    return fleet


@pytest.fixture
def start_agent(fleet: FleetDouble, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Enrols (once) and starts an agent; ends every one of them."""
    started: list[AgentProcess] = []

    def start(name: str = "dev", *options: str) -> AgentProcess:
        agent = AgentProcess(fleet, tmp_path / name, name, options)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        agent.kill()
