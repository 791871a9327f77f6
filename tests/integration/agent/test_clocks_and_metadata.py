"""Wrong clocks and long absences: TLS, certificates and TUF metadata are judged by the time floor."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, agent_command
from fleet_double import FleetDouble, free_port, wait_for
from versions import version

from argosy.errors import ArgosyError, Untrusted
from argosy.protocol.enrolment import read_line
from argosy.protocol.refusals import Refusal
from argosy.trust import Refused
from argosy_agent.clock import Clock
from argosy_agent.enrol import enrol
from argosy_agent.fetch.metadata import Repository
from argosy_agent.folder import StateFolder
from argosy_agent.http import DeviceHttp
from argosy_agent.identity import certificate_times, load_identity

pytestmark = pytest.mark.integration
DAY = 86400.0


@pytest.fixture
def folder(fleet: FleetDouble, tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "dev")
    enrol(read_line(fleet.line()), folder, "dev")
    return folder


def _repository(folder: StateFolder, wall: float) -> tuple[Repository, Clock]:
    clock = Clock(folder.floor, wall=lambda: wall)
    identity = load_identity(folder)
    return Repository(identity, folder, DeviceHttp(identity, folder, clock), clock), clock


def test_device_that_wakes_up_in_1970_refreshes(folder: StateFolder) -> None:
    repository, clock = _repository(folder, 5.0)
    assert clock.is_behind(), "enrolment set the floor"
    assert repository.refresh().timestamp_version == 1


def test_server_certificate_that_ended_before_the_floor_is_refused(folder: StateFolder) -> None:
    repository, clock = _repository(folder, 5.0)
    clock.raise_to(time.time() + 500 * DAY)
    with pytest.raises(ArgosyError, match="certificate ended"):
        repository.refresh()


def test_frozen_metadata_is_refused_also_with_a_clock_in_1970(fleet: FleetDouble, folder: StateFolder) -> None:
    """An attacker who can set the clock back cannot make old metadata good again."""
    fleet.tuf.expires = datetime.datetime.fromtimestamp(int(time.time()) - 60, datetime.timezone.utc)
    fleet.tuf.publish()
    repository, clock = _repository(folder, 5.0)
    clock.raise_to(time.time())
    with pytest.raises(Refused) as refused:
        repository.refresh()
    assert refused.value.refusal is Refusal.UNTRUSTED_METADATA


def test_device_that_was_away_for_a_year_converges(fleet: FleetDouble, folder: StateFolder) -> None:
    repository, _ = _repository(folder, time.time())
    repository.refresh()
    # What lies on its disk has expired long ago; what the controller signs now has not.
    year = time.time() + 300 * DAY
    fleet.tuf.expires = datetime.datetime.fromtimestamp(int(year + 30 * DAY), datetime.timezone.utc)
    fleet.tuf.publish()
    later, _ = _repository(folder, year)
    assert later.refresh().timestamp_version == 2


def test_rolled_back_metadata_is_refused(fleet: FleetDouble, folder: StateFolder) -> None:
    old = dict(fleet.tuf.files)
    fleet.tuf.publish()
    repository, _ = _repository(folder, time.time())
    assert repository.refresh().timestamp_version == 2
    fleet.tuf.files = old
    with pytest.raises(Refused) as refused:
        repository.refresh()
    assert refused.value.refusal is Refusal.UNTRUSTED_METADATA


def test_endless_metadata_is_cut_off(fleet: FleetDouble, folder: StateFolder) -> None:
    fleet.tuf.files["timestamp.json"] = b" " * 10_000_000
    with pytest.raises(ArgosyError):
        _repository(folder, time.time())[0].refresh()


def test_another_controller_at_the_same_address_is_not_talked_to(fleet: FleetDouble, folder: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = FleetDouble(tmp_path / "other")
    try:
        folder.ca.write_text(other.ca.pem)
        with pytest.raises(Untrusted, match="did not prove"):
            DeviceHttp(load_identity(folder), folder, Clock(folder.floor)).request(
                "GET", f"https://127.0.0.1:{fleet.http_port}/device/v1/desired"
            )
    finally:
        other.close()


def test_certificate_is_renewed_by_itself(broker: FleetDouble, start_agent: Callable[..., AgentProcess], tmp_path: Path) -> None:
    broker.life = datetime.timedelta(minutes=1)  # begun a day ago: two thirds of it are long over
    agent = start_agent()
    broker.life = datetime.timedelta(days=60)
    agent.terminate()
    agent.start()
    wait_for(lambda: certificate_times(StateFolder(agent.state))[1] > time.time() + 50 * DAY, what=agent.log())
    broker.wish("dev", {"tiny": version(broker, tmp_path, 1)})
    agent.wait_serving("tiny", 1)


def test_endpoint_that_is_taken_is_said_at_once(broker: FleetDouble, start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent()
    agent.terminate()
    done = agent_command("run", "--state", str(agent.state), "--endpoint", f"127.0.0.1:{broker.mqtt_port}")
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert str(broker.mqtt_port) in done.stderr.splitlines()[-1]


def test_second_agent_on_a_folder_is_refused(broker: FleetDouble, start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent("dev", "--endpoint", f"127.0.0.1:{free_port()}")
    wait_for(lambda: agent.status().get("endpoint"))
    done = agent_command("run", "--state", str(agent.state))
    assert (done.returncode, "already runs" in done.stderr) == (5, True)


def test_runtime_that_is_not_installed_is_refused(broker: FleetDouble, start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent()
    agent.terminate()
    done = agent_command("run", "--state", str(agent.state), "--runtimes", "quantum")
    assert (done.returncode, "not installed" in done.stderr) == (2, True)
