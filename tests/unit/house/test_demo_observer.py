"""The demo's observer draws right conclusions from what clients wrote down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).resolve().parents[3] / "examples" / "demo"


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(DEMO))
    import observe

    yield observe
    sys.modules.pop("observe", None)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(DEMO))
    import processes

    yield processes
    sys.modules.pop("processes", None)


def written(folder: Path, *rows: tuple[float, int, int, str]) -> None:
    (folder / "pi.csv").write_text("".join(f"{at},{took},{good},{version}\n" for at, took, good, version in rows))


def test_a_way_back_is_seen_as_a_change_of_version_each_way(observe: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, (1, 500, 1, "2"), (2, 900, 1, "3"), (3, 900, 1, "3"), (4, 500, 1, "2"))
    requests = observe.requests_of(tmp_path, "pi")
    assert observe.versions_in_order(requests) == ["2", "3", "2"]
    assert observe.changes(requests) == [2.0, 4.0]


def test_a_failed_request_is_no_version(observe: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, (1, 500, 1, "1"), (2, 30_000, 0, ""), (3, 500, 1, "1"))
    requests = observe.requests_of(tmp_path, "pi")
    assert observe.versions_in_order(requests) == ["1"]
    assert [one.good for one in requests] == [True, False, True]


def test_a_line_that_is_being_written_is_left_for_the_next_look(observe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pi.csv").write_text("1.0,500,1,1\n2.0,5")
    assert len(observe.requests_of(tmp_path, "pi")) == 1
    assert observe.requests_of(tmp_path, "nobody") == []


def test_requests_around_a_swap_are_told_from_steady_ones(observe: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, (1, 100, 1, "1"), (10, 200, 1, "1"), (11, 300, 1, "2"), (20, 400, 1, "2"), (30, 9000, 1, "3"))
    steady, swapping = observe.split_by_swaps(observe.requests_of(tmp_path, "pi"), without="3")
    assert (steady, swapping) == ([100.0, 400.0], [200.0, 300.0])


def test_a_percentile_of_nothing_is_nothing(observe: ModuleType) -> None:
    assert observe.percentile([], 0.5) is None
    assert observe.percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_a_process_of_somebody_else_under_an_old_number_is_left_alone(processes: ModuleType, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            (tmp_path / "processes.json").write_text(f'{{"agent": {{"pid": {other.pid}, "started": "1"}}}}')
            assert processes.end_kept(tmp_path) == 0
            assert other.poll() is None
        finally:
            other.kill()


def test_only_what_was_started_here_is_ended(processes: ModuleType, tmp_path: Path) -> None:
    ours = processes.Processes(tmp_path)
    ours.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    pid = json.loads((tmp_path / "processes.json").read_text())["sleeper"]["pid"]
    ours.end_all()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
