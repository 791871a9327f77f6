"""`controller up` as an operator meets it: ports taken, folders of others, signals, kills."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from controller_process import ControllerProcess, run_controller, wait_for_end

from argosy.protocol.enrolment import read_line

pytestmark = pytest.mark.integration


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ControllerProcess]:
    process = ControllerProcess(tmp_path / "fleet")
    yield process
    process.end(signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_whole_tree_within_ten_seconds(own: ControllerProcess, how: signal.Signals) -> None:
    tree = own.start().tree()
    assert len(tree) > 1  # the broker is a process of its own
    assert own.end(how) < 10
    assert wait_for_end(tree, 1.0) == []
    assert not (own.data / "endpoints.json").exists()


def test_kill_leaves_no_broker_and_the_next_start_goes_on(own: ControllerProcess) -> None:
    tree = own.start().tree()
    before, tokens = own.endpoints, own.run("tokens", "create", "--json").document
    own.end(signal.SIGKILL)
    assert wait_for_end(tree, 5.0) == []
    gone = own.run("status")
    assert gone.code == 7 and "no controller runs" in gone.sentence
    own.start()
    after = own.endpoints
    assert (after["device_api"], after["mqtt"]) == (before["device_api"], before["mqtt"])
    assert own.run("status", "--json").code == 0 and tokens["uses"] == 1


def test_folder_may_be_named_relative_to_where_the_operator_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    process = ControllerProcess(Path("fleet"))
    try:
        process.start()
        assert process.run("status", "--json").code == 0
    finally:
        process.end(signal.SIGKILL)


def test_first_password_and_token_stay(own: ControllerProcess) -> None:
    own.start()
    secrets = [(own.data / name).read_text() for name in ("admin-password", "admin-token")]
    own.end()
    own.start()
    assert [(own.data / name).read_text() for name in ("admin-password", "admin-token")] == secrets


@pytest.mark.parametrize("option", ["--http", "--devices-port", "--mqtt-port"])
def test_taken_port_names_the_flag(tmp_path: Path, taken: int, option: str) -> None:
    value = f"127.0.0.1:{taken}" if option == "--http" else str(taken)
    first = () if option == "--http" else ("--http", "127.0.0.1:0")
    ended = run_controller("up", "--data", tmp_path / "fleet", *first, option, value)
    assert ended.code == 5 and f"port {taken}" in ended.sentence and option in ended.sentence
    assert ended.err.count("\n") == 1


def test_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "fleet"
    data.mkdir()
    (data / "format.json").write_text(json.dumps({"format": 2}))
    ended = run_controller("up", "--data", data, "--http", "127.0.0.1:0")
    assert ended.code == 9 and "upgrade Argosy" in ended.sentence
    assert sorted(path.name for path in data.iterdir()) == ["format.json"]


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    ended = run_controller("up", "--data", tmp_path, "--http", "127.0.0.1:0")
    assert ended.code == 9 and "no data folder" in ended.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("")
    assert run_controller("up", "--data", tmp_path / "fleet", "--http", "127.0.0.1:0").code == 2


def test_broker_that_is_down_at_start_is_said(tmp_path: Path, taken: int) -> None:
    ended = run_controller("up", "--data", tmp_path / "fleet", "--http", "127.0.0.1:0", "--broker", "mqtts://127.0.0.1:1")
    assert ended.code == 7 and "127.0.0.1:1" in ended.sentence
    assert not (tmp_path / "fleet" / "endpoints.json").exists()


@pytest.mark.parametrize("broker", ["rabbit", "mqtt://127.0.0.1:1", "mqtts://"])
def test_what_is_no_broker_is_refused(tmp_path: Path, broker: str) -> None:
    assert run_controller("up", "--data", tmp_path / "fleet", "--http", "127.0.0.1:0", "--broker", broker).code == 2


def test_public_host_is_what_devices_are_told_and_the_fleet_is_heard(tmp_path: Path) -> None:
    own = ControllerProcess(tmp_path / "fleet", ("--http", "127.0.0.1:0", "--public-host", "localhost"))
    try:
        own.start()
        assert own.endpoints["device_api"].startswith("https://localhost:") and own.endpoints["mqtt"].startswith("mqtts://localhost:")
        assert read_line(own.run("tokens", "create", "--json").document["line"]).url == own.endpoints["device_api"]
        deadline = time.monotonic() + 20
        while not own.run("status", "--json").document["broker_up"]:
            assert time.monotonic() < deadline, own.log
    finally:
        own.end(signal.SIGKILL)


def test_root_changes_while_the_controller_is_stopped(own: ControllerProcess) -> None:
    own.start().end()
    assert own.run("root", "rotate", "--json").document["root"] == 2
    assert own.start().run("status").code == 0
