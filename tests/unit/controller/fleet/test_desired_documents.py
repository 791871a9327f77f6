"""Desired documents: wish, generation, signature and outbox are there together or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from small_fleet import NOW, REPOSITORY, content, device_row, new_writer, open_in, opened
from sqlmodel import Session, select

from argosy.errors import NotFound
from argosy.protocol.desired import Gates
from argosy.trust import accept_desired
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DesiredRow, DesiredSlotRow, DeviceRow, OutboxRow
from argosy_controller.fleet.desired import (
    LIFETIME_S,
    Wish,
    current_envelope,
    reissue,
    resign_after_key_change,
    resign_half_over,
    resign_if_half_over,
    wish,
    wish_all,
    withdraw,
)

WRITER = new_writer()
GATES = Gates(window_s=3.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened_database = open_in(tmp_path)
    with opened_database.write() as session:
        session.add_all([device_row("a"), device_row("b")])
    yield opened_database
    opened_database.close()


def wish_for_a(session: Session, version: int | None, now: float = NOW, slot: str = "digits", gates: Gates | None = GATES) -> int:
    return wish(session, WRITER, "a", slot, content(version) if version else None, gates, None, now)


def outbox(session: Session) -> list[OutboxRow]:
    return list(session.exec(select(OutboxRow)))


def test_a_device_believes_the_document_that_was_written(database: Database) -> None:
    with database.write() as session:
        assert wish_for_a(session, 1) == 1
    with database.read() as session:
        envelope = current_envelope(session, "a")
        (message,) = outbox(session)
    assert envelope is not None and message.payload == envelope
    assert (message.topic, message.retained) == ("argosy/v1/d/a/desired", True)
    keys = [WRITER.signer.public_key]
    document = accept_desired(envelope, keys=keys, repository=REPOSITORY, device="a", accepted=None, now=NOW)
    assert document.slots == {"digits": content(1)}
    assert (document.generation, document.timestamp_version, document.expires, document.gates) == (1, 7, NOW + LIFETIME_S, GATES)


def test_nothing_is_left_of_a_wish_whose_transaction_failed(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        wish_for_a(session, 1)
        raise KeyError
    with database.read() as session:
        assert (outbox(session), current_envelope(session, "a")) == ([], None)
        assert session.get_one(DeviceRow, "a").generation == 0


def test_generations_count_up_and_an_outdated_message_is_replaced(database: Database) -> None:
    for version in (1, 2, 3):
        with database.write() as session:
            assert wish_for_a(session, version) == version
    with database.read() as session:
        (message,) = outbox(session)
        assert opened(message.payload).slots == {"digits": content(3)}


def test_a_restored_database_locks_nobody_out(database: Database) -> None:
    with database.write() as session:
        session.get_one(DeviceRow, "a").reported_generation = 41
        assert wish_for_a(session, 1) == 42


def test_a_device_that_knows_more_than_this_database_gets_its_wishes_anew(database: Database) -> None:
    with database.write() as session:
        wish_for_a(session, 1)
        session.get_one(DeviceRow, "a").reported_generation = 9
        reissue(session, WRITER, ["a", "b"], NOW + 1)
    with database.read() as session:
        document = opened(current_envelope(session, "a") or b"")
        assert (document.generation, document.slots, document.gates) == (10, {"digits": content(1)}, GATES)
        assert current_envelope(session, "b") is None


def test_other_slots_stay_in_the_document_and_an_emptied_one_leaves_it(database: Database) -> None:
    with database.write() as session:
        wish_for_a(session, 1)
        wish_for_a(session, 2, slot="other")
        assert set(opened(current_envelope(session, "a") or b"").slots) == {"digits", "other"}
        wish_for_a(session, None)
        assert set(opened(current_envelope(session, "a") or b"").slots) == {"other"}
        assert [row.slot for row in session.exec(select(DesiredSlotRow))] == ["other"]


def test_several_slots_of_a_device_take_one_generation(database: Database) -> None:
    wishes = [Wish("a", "x", content(1)), Wish("a", "y", content(1)), Wish("a", "x", content(2)), Wish("b", "x", content(1))]
    with database.write() as session:
        assert wish_all(session, WRITER, wishes, GATES, NOW) == {"a": 1, "b": 1}
        assert opened(current_envelope(session, "a") or b"").slots == {"x": content(2), "y": content(1)}


def test_an_unknown_device_is_named_and_nothing_changes(database: Database) -> None:
    wishes = [Wish("a", "digits", content(1)), Wish("nobody", "digits", content(1))]
    with pytest.raises(NotFound, match="'nobody' is not enrolled"), database.write() as session:
        wish_all(session, WRITER, wishes, GATES, NOW)
    with database.read() as session:
        assert outbox(session) == []


def test_a_document_is_signed_again_only_after_half_of_its_life_and_wishes_the_same(database: Database) -> None:
    with database.write() as session:
        wish_for_a(session, 1)
        first = opened(current_envelope(session, "a") or b"")
        assert not resign_if_half_over(session, WRITER, "a", NOW + LIFETIME_S / 2 - 1)
        assert resign_if_half_over(session, WRITER, "a", NOW + LIFETIME_S / 2)
        assert not resign_if_half_over(session, WRITER, "a", NOW + LIFETIME_S / 2)
        envelope = current_envelope(session, "a") or b""
    # A device takes an equal generation only if slots and gates are equal, too.
    keys = [WRITER.signer.public_key]
    again = accept_desired(envelope, keys=keys, repository=REPOSITORY, device="a", accepted=first, now=NOW + LIFETIME_S)
    assert again.expires == NOW + 1.5 * LIFETIME_S


def test_documents_of_an_old_director_key_are_signed_again_and_wish_the_same(database: Database) -> None:
    successor = replace(WRITER, signer=CryptoSigner.generate_ed25519())
    with database.write() as session:
        wish_for_a(session, 1)
        first = opened(current_envelope(session, "a") or b"")
        assert resign_after_key_change(session, WRITER, NOW) == 0
        assert resign_after_key_change(session, successor, NOW + 1) == 1
        assert resign_after_key_change(session, successor, NOW + 2) == 0
        envelope = current_envelope(session, "a") or b""
    keys = [successor.signer.public_key]
    again = accept_desired(envelope, keys=keys, repository=REPOSITORY, device="a", accepted=first, now=NOW + 2)
    assert again.generation == first.generation


def test_devices_without_a_document_have_none_to_sign_again(database: Database) -> None:
    with database.write() as session:
        assert resign_half_over(session, WRITER, ["a", "b", "nobody"], NOW + 1e9) == 0


def test_gates_stay_when_none_are_given(database: Database) -> None:
    with database.write() as session:
        wish_for_a(session, 1)
        wish_for_a(session, 2, gates=None)
        assert opened(current_envelope(session, "a") or b"").gates == GATES


def test_withdrawing_clears_the_retained_document_at_the_broker(database: Database) -> None:
    with database.write() as session:
        wish_for_a(session, 1)
        withdraw(session, "a", NOW)
    with database.read() as session:
        (message,) = outbox(session)
        assert (message.payload, message.retained) == (b"", True)
        assert (session.get(DesiredRow, "a"), session.get(DesiredSlotRow, ("a", "digits"))) == (None, None)
