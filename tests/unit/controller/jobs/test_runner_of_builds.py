"""The runner: registers what was built, once; survives restarts; leaves nothing of what was cancelled or failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from argosy.errors import Conflict, GoalsNotMet, InvalidInput
from argosy_controller.db.tables import AuditRow, VersionRow
from argosy_controller.jobs import queue, runner
from argosy_controller.jobs.states import MOST_STARTS
from argosy_controller.pipeline.processes.child import Stopped
from argosy_controller.pipeline.processes.messages import Progress


def write_bundle(site: Any, out: Path) -> None:
    type(site.child)().does(out, None, None)


def versions(site: Any) -> list[tuple[str, int]]:
    with site.runner.database.read() as session:
        return [(row.model, row.number) for row in session.exec(select(VersionRow))]


def until_stopped(out: Path, tell: object, stop: threading.Event) -> None:
    del out, tell
    assert stop.wait(20)
    raise Stopped("stopped")


def cancel(site: Any, number: int) -> None:
    with site.runner.database.write() as session:
        queue.cancel(queue.get(session, number), "cancelled by ada", 1.0)
    site.runner.end_process(number)


def test_build_that_is_done_is_a_version_and_its_report_stays(site: Any) -> None:
    number = site.queue()
    row = site.wait(number, "succeeded")
    place = site.runner.places.of(number)
    assert (row.model, row.version) == ("tiny", 1) and versions(site) == [("tiny", 1)]
    assert place.report.is_file() and not place.inputs.exists() and not place.variants.exists() and not place.home.exists()
    with site.runner.database.read() as session:
        assert [row.subject for row in session.exec(select(AuditRow))] == ["tiny@1"]


def test_child_lives_in_a_folder_of_its_own_without_secrets(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOSY_TOKEN", "secret")
    site.wait(site.queue(cached=False, seed=7, settings={"a": "b"}), "succeeded")
    asked = site.child.asked[0]
    assert "ARGOSY_TOKEN" not in asked["around"].environment and asked["around"].folder == site.runner.places.of(1).home
    assert (asked["seed"], asked["settings"], asked["cache"]) == (7, {"a": "b"}, None)


def test_builds_run_one_after_another_in_the_order_in_which_they_came(site: Any) -> None:
    order: list[str] = []
    gate = threading.Event()

    def work(out: Path, tell: object, stop: object) -> None:
        order.append(out.parent.name)
        assert gate.wait(20)
        write_bundle(site, out)

    site.child.does = work
    first, second = site.queue(), site.queue()
    site.wait(first, "running")
    assert site.row(second).state == "queued"
    gate.set()
    site.wait(second, "succeeded")
    assert order == [str(first), str(second)]


def test_progress_is_written_down_with_the_stage(site: Any) -> None:
    seen = threading.Event()

    def work(out: Path, tell: Callable[[Progress], None], stop: object) -> None:
        tell(Progress(stage="train", done=3, total=30))
        assert seen.wait(20)
        write_bundle(site, out)

    site.child.does = work
    number = site.queue()
    while site.row(number).stage != "train":
        site.wait(number, "queued", "running")
    assert (site.row(number).done, site.row(number).total) == (3, 30) and site.row(number).stage_began > 0
    seen.set()
    site.wait(number, "succeeded")


@pytest.mark.parametrize(("error", "kind"), [(GoalsNotMet("missed"), "goals-not-met"), (InvalidInput("wrong"), "invalid-input")])
def test_failed_build_keeps_its_sentence_and_registers_nothing(site: Any, error: Exception, kind: str) -> None:
    def work(*_: object) -> None:
        raise error

    site.child.does = work
    row = site.wait(site.queue(), "failed")
    assert (row.reason, row.error_kind, row.version) == (str(error), kind, 0) and versions(site) == []
    assert not site.runner.places.of(1).inputs.exists()


def test_disk_that_is_full_when_it_is_stored_is_told_in_a_sentence(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "store_files", full)
    row = site.wait(site.queue(), "failed")
    assert "could not be stored (No space left on device): free some space" in row.reason and versions(site) == []


def test_defect_in_a_build_ends_that_build_only(site: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    site.child.does = broken
    assert "RuntimeError: a defect" in site.wait(site.queue(), "failed").reason
    site.child.does = lambda out, tell, stop: write_bundle(site, out)
    site.wait(site.queue(), "succeeded")


def test_cancelled_build_is_stopped_and_leaves_nothing(site: Any) -> None:
    site.child.does = until_stopped
    number = site.queue()
    site.wait(number, "running")
    cancel(site, number)
    assert site.row(number).state == "cancelled" and versions(site) == []
    assert not site.runner.places.of(number).inputs.exists()


def test_cancelled_while_it_waits_never_runs(site: Any) -> None:
    site.child.does = until_stopped
    first, second = site.queue(), site.queue()
    site.wait(first, "running")
    cancel(site, second)
    cancel(site, first)
    assert site.row(second).state == "cancelled" and len(site.child.asked) == 1


def test_cancelled_at_the_last_moment_is_not_registered(site: Any) -> None:
    """The child is done, and somebody cancels before the version is written: the row decides."""

    def work(out: Path, tell: object, stop: object) -> None:
        write_bundle(site, out)
        with site.runner.database.write() as session:
            queue.cancel(queue.get(session, 1), "cancelled by ada", 1.0)

    site.child.does = work
    number = site.queue()
    assert site.wait(number, "cancelled").version == 0 and versions(site) == []


def test_ended_build_cannot_be_cancelled(site: Any) -> None:
    site.wait(site.queue(), "succeeded")
    with pytest.raises(Conflict, match=r"ended already \(succeeded\)"):
        cancel(site, 1)


def test_build_goes_on_when_the_controller_is_started_again(make_site: Callable[..., Any]) -> None:
    first = make_site()
    first.runner.start()
    first.child.does = until_stopped
    number = first.queue()
    first.wait(number, "running")
    first.runner.stop()
    assert first.row(number).state == "running"
    second = make_site()
    second.child.does = lambda out, tell, stop: write_bundle(second, out)
    second.runner.start()
    row = second.wait(number, "succeeded")
    assert row.starts == 2 and versions(second) == [("tiny", 1)]


def test_result_that_was_complete_is_registered_without_building_it_again(make_site: Callable[..., Any]) -> None:
    site = make_site()
    number = site.queue()
    with site.runner.database.write() as session:
        assert queue.start_next(session, 1, 1.0) is not None
    write_bundle(site, site.runner.places.of(number).out)
    site.runner.start()
    site.wait(number, "succeeded")
    assert site.child.asked == [] and versions(site) == [("tiny", 1)]


def test_build_that_ends_the_controller_each_time_is_not_started_for_ever(make_site: Callable[..., Any]) -> None:
    site = make_site()
    number = site.queue()
    for _ in range(MOST_STARTS):
        with site.runner.database.write() as session:
            assert queue.start_next(session, 1, 1.0) is not None
            assert queue.get(session, number).starts <= MOST_STARTS
            if queue.get(session, number).starts < MOST_STARTS:
                queue.take_up_again(session, 1.0)
    site.runner.start()
    assert f"ended {MOST_STARTS} times" in site.wait(number, "failed").reason


def test_old_builds_are_forgotten_with_their_files(make_site: Callable[..., Any]) -> None:
    site = make_site(keep=2)
    site.runner.start()
    numbers = [site.queue() for _ in range(4)]
    site.wait(numbers[-1], "succeeded")
    with site.runner.database.read() as session:
        assert sorted(job.number for job in queue.jobs(session)) == numbers[-2:]
    assert [site.runner.places.of(number).root.exists() for number in numbers] == [False, False, True, True]


def test_cancelled_while_the_controller_ended_is_tidied_up_at_the_next_start(make_site: Callable[..., Any]) -> None:
    site = make_site()
    number = site.queue()
    with site.runner.database.write() as session:
        queue.cancel(queue.get(session, number), "cancelled by ada", 1.0)
    site.runner.start()
    assert not site.runner.places.of(number).inputs.exists() and site.row(number).state == "cancelled"


def test_upload_that_was_cut_off_is_removed_at_the_next_start(make_site: Callable[..., Any]) -> None:
    site = make_site()
    site.runner.places.of(99).inputs.mkdir(parents=True)
    site.runner.start()
    assert not site.runner.places.of(99).root.exists()


def test_without_a_publisher_key_the_bundle_is_kept_for_its_publisher(
    make_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    monkeypatch.setattr(type(site.runner.repository), "lab_mode", property(lambda _: False))
    site.runner.start()
    number = site.queue()
    row = site.wait(number, "succeeded")
    assert row.version == 0 and f"controller builds fetch {number}" in row.reason
    assert site.runner.places.of(number).variants.is_dir() and versions(site) == []
