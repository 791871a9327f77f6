"""What devices say reaches the tables once, whoever repeats, lies or floods."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from small_fleet import NOW, SmallDevice, content, device_row, event, message, new_writer, open_in, opened, window
from sqlmodel import Session, select

from argosy.protocol.codec import to_json, to_msgpack
from argosy.protocol.reported import Presence
from argosy.topics import Channel
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow, EventRow, OutboxRow, WindowRow
from argosy_controller.fleet import ingest
from argosy_controller.fleet.desired import LIFETIME_S, current_envelope, wish
from argosy_controller.fleet.inbound import Inbound, read
from argosy_controller.fleet.ingest import Ingest, Taken, Tally, take_in

WRITER = new_writer()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened_database = open_in(tmp_path)
    revoked = device_row("revoked", online=False)
    revoked.revoked = True
    with opened_database.write() as session:
        session.add_all([device_row("a", online=False), device_row("b", online=False), revoked])
    yield opened_database
    opened_database.close()


def take(database: Database, *messages: Inbound, now: float = NOW, tally: Tally | None = None) -> Taken:
    with database.write() as session:
        return take_in(session, [read(one) for one in messages], WRITER, now, tally)


def reported(device: str = "a", generation: int = 0, retained: bool = False, at: float = NOW) -> Inbound:
    return message(device, Channel.REPORTED, SmallDevice(device, generation=generation, boot="b7").report(), at, retained)


def present(online: bool = True, device: str = "a", at: float = NOW, boot: str = "b7") -> Inbound:
    return message(device, Channel.PRESENCE, to_json(Presence(device=device, online=online, boot=boot)), at)


def row(session: Session, device: str = "a") -> DeviceRow:
    return session.get_one(DeviceRow, device)


def test_a_report_updates_what_is_known_of_its_device(database: Database) -> None:
    assert take(database, reported(generation=3)).state
    with database.read() as session:
        found = row(session)
        assert (found.reported_generation, found.boot, found.last_seen) == (3, "b7", NOW)
        assert found.reported == SmallDevice("a", generation=3, boot="b7").report()


def test_of_several_reports_the_last_one_holds(database: Database) -> None:
    take(database, reported(generation=1), reported(generation=2), reported(generation=1))
    with database.read() as session:
        assert row(session).reported_generation == 1  # level, not edge: its word is taken as it is now


def test_a_retained_report_does_not_say_that_the_device_was_just_seen(database: Database) -> None:
    take(database, reported(retained=True))
    with database.read() as session:
        assert (row(session).last_seen, row(session).boot) == (0.0, "b7")


def test_presence_comes_and_goes(database: Database) -> None:
    take(database, present())
    with database.read() as session:
        assert row(session).online
    assert take(database, present(False, at=NOW + 5)).state
    with database.read() as session:
        assert (row(session).online, row(session).last_seen) == (False, NOW + 5)


def test_unknown_and_revoked_devices_are_ignored_and_counted(database: Database) -> None:
    tally = Tally()
    take(database, reported("nobody"), reported("revoked"), message("nobody", Channel.EVENT, b"?"), tally=tally)
    assert tally == Tally(ignored=3)
    with database.read() as session:
        assert row(session, "revoked").boot == ""
        assert session.exec(select(EventRow)).all() == []


def test_repeated_events_and_windows_are_stored_once(database: Database) -> None:
    messages = [message("a", Channel.EVENT, to_json(event())), message("a", Channel.TELEMETRY, to_msgpack(window()))]
    take(database, *messages, *messages)
    take(database, *messages)
    with database.read() as session:
        (stored,) = session.exec(select(EventRow)).all()
        assert (stored.kind, stored.code, stored.slot) == ("went-back", "too-slow", "digits")
        (kept,) = session.exec(select(WindowRow)).all()
        assert (kept.requests, kept.errors, kept.start) == (10, 1, NOW)


def test_a_window_of_a_device_without_a_clock_is_placed_where_it_arrived(database: Database) -> None:
    take(database, message("a", Channel.TELEMETRY, to_msgpack(window(start=1000.0))))
    with database.read() as session:
        assert session.exec(select(WindowRow)).one().start == NOW - 10.0


def test_hostile_messages_are_told_once_an_hour_and_counted(database: Database) -> None:
    tally = Tally()
    flood = [message("a", Channel.EVENT, b"?", NOW + n) for n in range(50)]
    take(database, *flood, message("a", Channel.EVENT, b"?", NOW + 3600), tally=tally)
    assert tally.hostile == 51
    with database.read() as session:
        told = session.exec(select(EventRow)).all()
        assert [one.kind for one in told] == ["hostile", "hostile"]


def test_a_device_cannot_take_the_place_of_what_is_told_about_it(database: Database) -> None:
    forged = message("a", Channel.EVENT, to_json(event(boot="controller:hostile", sequence=int(NOW // 3600))))
    take(database, forged)
    with database.read() as session:
        assert [one.kind for one in session.exec(select(EventRow))] == ["hostile"]


def test_a_device_that_connects_gets_its_document_signed_again_when_half_its_life_is_over(database: Database) -> None:
    with database.write() as session:
        wish(session, WRITER, "a", "digits", content(1), None, None, NOW)
    assert not take(database, present(), now=NOW + 1).documents
    take(database, present(False))
    assert take(database, present(), now=NOW + LIFETIME_S / 2).documents
    with database.read() as session:
        document = opened(current_envelope(session, "a") or b"")
        assert (document.generation, document.issued) == (1, NOW + LIFETIME_S / 2)


def test_a_device_that_knows_a_higher_generation_gets_a_higher_one(database: Database) -> None:
    with database.write() as session:
        wish(session, WRITER, "a", "digits", content(1), None, None, NOW)
    assert take(database, reported(generation=8)).documents
    with database.read() as session:
        assert opened(current_envelope(session, "a") or b"").generation == 9
        assert len(session.exec(select(OutboxRow)).all()) == 1
    assert not take(database, reported(generation=9)).documents


class Running:
    """An ingest thread with its queue and what it acknowledged."""

    def __init__(self, database: Database) -> None:
        self.inbox: queue.Queue[Inbound] = queue.Queue()
        self.acknowledged: list[Inbound] = []
        self.ingest = Ingest(database, self.inbox, WRITER, clock=lambda: NOW, acknowledge=self.acknowledge, on_taken=lambda _: None)

    def acknowledge(self, messages: Sequence[Inbound]) -> None:
        self.acknowledged.extend(messages)

    def run(self, *messages: Inbound) -> None:
        for one in messages:
            self.inbox.put(one)
        self.ingest.start()
        limit = time.monotonic() + 20
        while len(self.acknowledged) < len(messages) and time.monotonic() < limit:
            time.sleep(0.01)
        self.ingest.stop()


def test_the_thread_acknowledges_what_is_committed(database: Database) -> None:
    running = Running(database)
    running.run(reported(generation=1), present(), message("a", Channel.EVENT, b"?"))
    assert len(running.acknowledged) == 3
    assert (running.ingest.tally.reports, running.ingest.tally.presences, running.ingest.tally.hostile) == (1, 1, 1)


def test_one_message_that_breaks_the_code_does_not_stop_the_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(one: Inbound) -> object:
        if one.payload == b"poison":
            raise ZeroDivisionError
        return read(one)

    monkeypatch.setattr(ingest, "read", fragile)
    running = Running(database)
    running.run(reported("a", 1), message("a", Channel.EVENT, b"poison"), reported("b", 2), present())
    assert len(running.acknowledged) == 4
    with database.read() as session:
        assert (row(session).reported_generation, row(session, "b").reported_generation) == (1, 2)
        assert [one.text for one in session.exec(select(EventRow))] == ["a event message broke the controller's ingest (ZeroDivisionError)"]


def test_sequences_of_different_boots_are_different_events(database: Database) -> None:
    first = event()
    again = msgspec.structs.replace(first, boot="b1")
    take(database, *(message("a", Channel.EVENT, to_json(one)) for one in (first, again)))
    with database.read() as session:
        assert len(session.exec(select(EventRow)).all()) == 2
