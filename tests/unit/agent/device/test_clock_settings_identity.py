"""Small parts: the time floor, settings, names, renewal, back-off."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.errors import Conflict, InvalidInput
from argosy.names import check_name
from argosy_agent.clock import Clock
from argosy_agent.enrol import default_name
from argosy_agent.folder import StateFolder, is_running, locked, write_atomically
from argosy_agent.identity import renewal_due
from argosy_agent.link import wait_before
from argosy_agent.settings import load_settings, parse_duration
from argosy_agent.timers import Every


def test_floor_rises_and_never_falls_over_restarts(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "floor.json", wall=lambda: 100.0)
    clock.raise_to(5000.0)
    clock.raise_to(4000.0)
    assert (clock.now(), clock.is_behind()) == (5000.0, True)
    assert Clock(tmp_path / "floor.json", wall=lambda: 100.0).now() == 5000.0
    assert Clock(tmp_path / "floor.json", wall=lambda: 9000.0).now() == 9000.0


def test_floor_that_does_not_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "floor.json").write_text("{")
    assert Clock(tmp_path / "floor.json", wall=lambda: 7.0).now() == 7.0


def test_command_line_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('endpoint = "127.0.0.1:9000"\nspread_s = 9\nprecisions = ["int8"]\n')
    settings = load_settings(path, {"spread_s": 0.0, "endpoint": None})
    assert (settings.endpoint, settings.spread_s, settings.precisions) == ("127.0.0.1:9000", 0.0, ("int8",))


@pytest.mark.parametrize(
    "text", ["nonsense = 1", "spread_s = -1", "endpoint = 'x'", "spread_s = 'soon'", "[", "endpoint = '127.0.0.1:99999'"]
)
def test_unusable_settings_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"agent\.toml|spread_s|endpoint"):
        load_settings(path, {})


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("10s", 10), ("500ms", 0.5), ("15m", 900), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_duration_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_duration("soon")


@pytest.mark.parametrize("host", ["Pi-7.local", "über pi", "", "a..b", "-x-", "UPPER_case", "x" * 200, "controller.lan"])
def test_host_names_become_legal_names(host: str) -> None:
    assert check_name("device", default_name(host))


def test_certificate_is_renewed_at_two_thirds_of_its_life() -> None:
    assert not renewal_due(0, 90, 59)
    assert renewal_due(0, 90, 60)


def test_waits_before_connecting_grow_and_differ_between_devices() -> None:
    waits = [wait_before("dev", attempt) for attempt in range(12)]
    assert 0.5 <= waits[0] <= 1.0
    assert max(waits) <= 60.0
    assert len({wait_before(f"d{n}", 3) for n in range(10)}) == 10


def test_timer_that_slept_acts_once(tmp_path: Path) -> None:
    acted: list[int] = []
    timer = Every(1.0, lambda: acted.append(1), at_once=False)
    for now in (0.0, 0.9, 1.0, 1.5, 500.0, 500.5, 501.0):
        timer.turn(now)
    assert len(acted) == 3


def test_one_agent_a_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with locked(folder):
        assert is_running(folder)
        with pytest.raises(Conflict, match="already runs"), locked(folder):
            pass
    assert not is_running(folder)


def test_failed_write_leaves_the_old_bytes_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["x"]
