"""Joining a fleet: what works, and one clear sentence for everything that does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from agent_process import agent_command
from fleet_double import FleetDouble, free_port

pytestmark = pytest.mark.integration


def _enrol(line: str, state: Path, *more: str, stdin: str = "") -> tuple[int, str]:
    done = agent_command("enrol", line, "--state", str(state), *more, stdin=stdin)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_enrols_from_line_file_and_standard_input(fleet: FleetDouble, tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text(fleet.line() + "\n")
    assert _enrol(fleet.line(), tmp_path / "one", "--name", "one")[0] == 0
    assert _enrol(str(tmp_path / "line.txt"), tmp_path / "two", "--name", "two")[0] == 0
    assert _enrol("-", tmp_path / "three", "--name", "three", stdin=fleet.line())[0] == 0
    assert set(fleet.devices) == {"one", "two", "three"}
    for name in ("device.key", "identity.json", "device.crt"):
        assert stat.S_IMODE((tmp_path / "one" / name).stat().st_mode) == 0o600
    assert (tmp_path / "one" / "tuf" / "root.json").read_bytes() == fleet.tuf.root


def test_enrols_again_with_the_same_key_after_a_crash(fleet: FleetDouble, tmp_path: Path) -> None:
    assert _enrol(fleet.line(), tmp_path / "d", "--name", "d")[0] == 0
    (tmp_path / "d" / "identity.json").unlink()  # the crash came before the last write
    key = (tmp_path / "d" / "device.key").read_bytes()
    assert _enrol(fleet.line(), tmp_path / "d", "--name", "d")[0] == 0
    assert (tmp_path / "d" / "device.key").read_bytes() == key


def test_refuses_a_second_device_with_the_same_name(fleet: FleetDouble, tmp_path: Path) -> None:
    assert _enrol(fleet.line(), tmp_path / "d", "--name", "d")[0] == 0
    code, said = _enrol(fleet.line(), tmp_path / "other", "--name", "d")
    assert (code, "taken" in said) == (5, True)
    assert not (tmp_path / "other" / "identity.json").exists()


def test_refuses_to_enrol_a_folder_twice(fleet: FleetDouble, tmp_path: Path) -> None:
    _enrol(fleet.line(), tmp_path / "d", "--name", "d")
    code, said = _enrol(fleet.line(), tmp_path / "d", "--name", "e")
    assert (code, "already holds device 'd'" in said) == (5, True)


def test_refuses_a_used_up_token(fleet: FleetDouble, tmp_path: Path) -> None:
    fleet.uses = 0
    code, said = _enrol(fleet.line(), tmp_path / "d", "--name", "d")
    assert (code, "used up" in said) == (6, True)


@pytest.mark.parametrize("pin", ["ca", "root"])
def test_refuses_a_controller_that_is_not_the_pinned_one(fleet: FleetDouble, tmp_path: Path, pin: str) -> None:
    code, said = _enrol(fleet.line(**{pin: "0" * 64}), tmp_path / "d", "--name", "d")
    assert (code, "not the controller that made this enrolment line" in said) == (8, True)
    assert not (tmp_path / "d").exists()
    assert fleet.uses == 10, "the secret was not sent"


def test_says_that_the_controller_cannot_be_reached(fleet: FleetDouble, tmp_path: Path) -> None:
    code, said = _enrol(fleet.line(url=f"https://127.0.0.1:{free_port()}"), tmp_path / "d", "--name", "d")
    assert (code, "cannot be reached" in said) == (7, True)


@pytest.mark.parametrize("line", ["", "argosy1.", "argosy1.abc", "hello", "argosy1." + "A" * 100])
def test_refuses_a_damaged_line(tmp_path: Path, line: str) -> None:
    code, said = _enrol(line, tmp_path / "d", "--name", "d")
    assert (code, "enrolment line" in said) == (2, True)


@pytest.mark.parametrize("name", ["controller", "A/B", "../x", "x" * 64])
def test_refuses_an_impossible_name(fleet: FleetDouble, tmp_path: Path, name: str) -> None:
    assert _enrol(fleet.line(), tmp_path / "d", "--name", name)[0] == 2
    assert fleet.uses == 10


def test_running_without_enrolment_says_what_to_do(tmp_path: Path) -> None:
    done = agent_command("run", "--state", str(tmp_path / "d"))
    assert (done.returncode, "agent enrol LINE" in done.stderr) == (4, True)
