"""What operators ask for, right and wrong; and the reconciler that does it, in a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_fleet import NOW, SmallDevice, add_versions, content, device_row, drain_outbox, message, new_writer, open_in, opened
from sqlmodel import Session, select

from argosy.errors import ArgosyError, Conflict, InvalidInput, NotFound
from argosy.protocol.desired import Gates
from argosy.topics import Channel
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow, EventRow, OutboxRow, RolloutDeviceRow, RolloutRow
from argosy_controller.fleet.inbound import read
from argosy_controller.fleet.ingest import take_in
from argosy_controller.rollouts import commands
from argosy_controller.rollouts.facts import Evidence
from argosy_controller.rollouts.reconcile import reconcile
from argosy_controller.rollouts.reconciler import Reconciler

WRITER = new_writer()
DEVICES = ("a", "b", "c", "d")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened_database = open_in(tmp_path)
    with opened_database.write() as session:
        session.add_all([device_row(name) for name in DEVICES])
        session.add(device_row("far", labels={"site": "field"}))
        add_versions(session, (1, 2, 3))
    yield opened_database
    opened_database.close()


def start(session: Session, version: int = 1, **changes: Any) -> int:
    asked: dict[str, Any] = {
        "model": "digits", "slot": None, "selector": "site=lab", "stages": (1.0,), "gates": Gates(window_s=4.0), "deadline_s": 600.0,
        "by": "me", "now": NOW,
    }  # fmt: skip
    return commands.start_rollout(session, version=version, **{**asked, **changes})


def settle(database: Database, now: float = NOW) -> int:
    """Reconciles until nothing changes; how often it did."""
    for rounds in range(30):
        with database.write() as session:
            if not reconcile(session, WRITER, Evidence(), now):
                return rounds
    raise AssertionError("it does not come to rest")


def answer(database: Database, devices: dict[str, SmallDevice], act: Callable[[SmallDevice], None], now: float = NOW) -> list[str]:
    """Publishes, lets the devices that got something act, takes their reports in; returns who got something."""
    with database.write() as session:
        sent = drain_outbox(session)
        for name, envelope in sent.items():
            devices[name].accept(opened(envelope))
            act(devices[name])
            take_in(session, [read(message(name, Channel.REPORTED, devices[name].report(), now))], WRITER, now)
    return sorted(sent)


def parts(database: Database, rollout: int) -> dict[str, str]:
    with database.read() as session:
        return {part.device: part.state for part in session.exec(select(RolloutDeviceRow)) if part.rollout == rollout}


def state(database: Database, rollout: int) -> tuple[str, str]:
    with database.read() as session:
        row = session.get_one(RolloutRow, rollout)
        return row.state, row.reason


@pytest.fixture
def fleet() -> dict[str, SmallDevice]:
    return {name: SmallDevice(name) for name in DEVICES}


WRONG = {
    "version that is not there": ({"version": 9}, NotFound, "digits@9"),
    "model that is not there": ({"model": "letters"}, NotFound, "letters@1"),
    "selector that does not parse": ({"selector": "site=="}, InvalidInput, "makes no sense at character"),
    "selector that matches nothing": ({"selector": "site=moon"}, InvalidInput, "matches no device"),
    "slot with a slash": ({"slot": "a/b"}, InvalidInput, "slot name"),
    "no stages": ({"stages": ()}, InvalidInput, "stages none"),
    "stages that fall": ({"stages": (0.5, 0.2, 1.0)}, InvalidInput, "stages 50%,20%,100%"),
    "stages that end early": ({"stages": (0.5,)}, InvalidInput, "end at 100%"),
    "stages of nothing": ({"stages": (0.0, 1.0)}, InvalidInput, "stages 0%,100%"),
    "stages without a number": ({"stages": (float("nan"), 1.0)}, InvalidInput, "stages nan%"),
    "no deadline": ({"deadline_s": 0.0}, InvalidInput, "a deadline of 0 s"),
    "endless deadline": ({"deadline_s": float("inf")}, InvalidInput, "a deadline of inf s"),
    "no health window": ({"gates": Gates(window_s=0.0)}, InvalidInput, "a health window of 0 s"),
}


@pytest.mark.parametrize(("changes", "kind", "says"), WRONG.values(), ids=WRONG)
def test_refuses_with_a_sentence_and_changes_nothing(
    database: Database, changes: dict[str, Any], kind: type[ArgosyError], says: str
) -> None:
    with pytest.raises(kind, match=says), database.write() as session:
        start(session, **changes)
    with database.read() as session:
        assert session.exec(select(RolloutRow)).all() == []


def test_two_rollouts_under_way_never_pull_at_one_slot_of_one_device(database: Database) -> None:
    with database.write() as session:
        first = start(session, selector="device=a")
    with database.write() as session:
        start(session, 2, selector="device=b")
        start(session, 2, slot="other", selector="device=a")
    with (
        pytest.raises(Conflict, match=f"rollout {first} is under way for slot 'digits' on 1 of these devices \\(a\\)"),
        database.write() as session,
    ):
        start(session, 2, selector="device in (a,c)")


def test_a_device_that_left_the_selector_after_it_was_told_still_counts_as_taken(database: Database) -> None:
    with database.write() as session:
        start(session)
    settle(database)
    with database.write() as session:
        session.get_one(DeviceRow, "a").labels = {"site": "field"}
    with pytest.raises(Conflict), database.write() as session:
        start(session, 2, selector="site=field")


def test_goes_through_its_stages_with_the_gates_it_was_given(database: Database, fleet: dict[str, SmallDevice]) -> None:
    with database.write() as session:
        rollout = start(session, stages=(0.25, 1.0))
    settle(database)
    with database.read() as session:
        (row,) = session.exec(select(OutboxRow)).all()
        assert opened(row.payload).gates == Gates(window_s=4.0)
    (canary,) = answer(database, fleet, SmallDevice.confirm)
    settle(database)
    assert answer(database, fleet, SmallDevice.confirm) == sorted(set(DEVICES) - {canary})
    settle(database)
    assert state(database, rollout) == ("finished", "4 of 4 devices confirmed")
    assert settle(database) == 0
    with database.read() as session:
        told = [event.kind for event in session.exec(select(EventRow).order_by(EventRow.id))]  # type: ignore[arg-type]
        assert told == ["rollout-started", "stage", "rollout-finished"]


def test_a_failed_canary_stops_it_and_what_is_desired_is_what_serves(database: Database, fleet: dict[str, SmallDevice]) -> None:
    with database.write() as session:
        start(session)
    settle(database)
    answer(database, fleet, SmallDevice.confirm)
    settle(database)
    with database.write() as session:
        rollout = start(session, 2, stages=(0.5, 1.0))
    settle(database)
    canaries = answer(database, fleet, SmallDevice.fail)
    settle(database)
    assert state(database, rollout)[0] == "aborted"
    assert parts(database, rollout) == dict.fromkeys(canaries, "went_back")
    answer(database, fleet, SmallDevice.confirm)
    assert {device.serving() for device in fleet.values()} == {content(1)}
    assert settle(database) == 0
    with database.read() as session:
        reason = session.get_one(RolloutDeviceRow, (rollout, canaries[0])).reason
        assert reason.startswith("too-slow: requests took much longer")


def test_an_abort_takes_back_whoever_has_not_confirmed(database: Database, fleet: dict[str, SmallDevice]) -> None:
    with database.write() as session:
        rollout = start(session, stages=(0.5, 1.0))
    settle(database)
    answer(database, fleet, lambda device: device.confirm() if device.name == min(fleet) else None)
    with database.write() as session:
        commands.abort(session, rollout, "me", NOW + 1)
    settle(database, NOW + 1)
    assert state(database, rollout) == ("aborted", "aborted by me")
    assert "told" not in parts(database, rollout).values()


def test_paused_tells_nobody_and_resumed_goes_on(database: Database, fleet: dict[str, SmallDevice]) -> None:
    with database.write() as session:
        rollout = start(session)
        commands.pause(session, rollout, "me", NOW)
    assert settle(database) == 0 and parts(database, rollout) == {}
    with database.write() as session:
        commands.resume(session, rollout, "me", NOW)
    settle(database)
    assert set(parts(database, rollout)) == set(DEVICES)


def test_resuming_asks_lost_devices_again(database: Database, fleet: dict[str, SmallDevice]) -> None:
    with database.write() as session:
        rollout = start(session)
    settle(database)
    settle(database, NOW + 601)
    assert state(database, rollout)[0] == "paused"
    assert set(parts(database, rollout).values()) == {"lost"}
    with database.write() as session:
        commands.resume(session, rollout, "me", NOW + 700)
    settle(database, NOW + 700)
    assert state(database, rollout) == ("running", "stage 1 of 1: 4 of 4 devices have not confirmed yet")
    answer(database, fleet, SmallDevice.confirm, NOW + 701)
    settle(database, NOW + 701)
    assert state(database, rollout)[0] == "finished"


@pytest.mark.parametrize("command", [commands.pause, commands.resume, commands.abort])
def test_an_ended_rollout_cannot_be_changed(database: Database, command: Callable[..., None]) -> None:
    with database.write() as session:
        rollout = start(session)
        commands.abort(session, rollout, "me", NOW)
    with pytest.raises(Conflict, match=f"rollout {rollout} is aborted: only one that is"), database.write() as session:
        command(session, rollout, "me", NOW)
    with pytest.raises(NotFound, match="there is no rollout 99"), database.write() as session:
        command(session, 99, "me", NOW)


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_any_statement_nothing_is_lost_or_done_twice(database: Database, fleet: dict[str, SmallDevice]) -> None:
    """Fail the 1st statement, then the 2nd, the 3rd... until a run completes without a failure."""
    from sqlalchemy import event

    with database.write() as session:
        rollout = start(session, stages=(0.5, 1.0))
    engine = database._writing
    for survived in range(200):
        left = [survived]

        def kill(*_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        event.listen(engine, "before_cursor_execute", kill)
        try:
            with database.write() as session:
                reconcile(session, WRITER, Evidence(), NOW)
            break
        except Killed:
            assert parts(database, rollout) == {}
        finally:
            event.remove(engine, "before_cursor_execute", kill)
    assert survived > 5
    with database.read() as session:
        assert len(session.exec(select(OutboxRow)).all()) == len(parts(database, rollout)) == 2
        assert sorted(row.generation for row in session.exec(select(DeviceRow))) == [0, 0, 0, 1, 1]


def test_the_thread_reconciles_when_woken_and_tells_the_publisher(database: Database) -> None:
    applied = threading.Event()
    reconciler = Reconciler(database, WRITER, clock=lambda: NOW, tick_s=3600.0, listening_since=lambda: 0.0, on_applied=applied.set)
    reconciler.start()
    try:
        with database.write() as session:
            start(session)
        reconciler.wake()
        assert applied.wait(20)
    finally:
        begun = time.monotonic()
        reconciler.stop()
    assert time.monotonic() - begun < 5
