"""What each device should hold: the wishes, and the signed documents made from them.

Everything happens in the caller's transaction: the wish, the generation, the signed document and the outbox row that
announces it are there together or not at all.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from securesystemslib.signer import Signer
from sqlmodel import Session, SQLModel, col, delete, select

from argosy.envelope import seal
from argosy.errors import NotFound
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.desired import PAYLOAD_TYPE, Desired, Gates, SlotContent
from argosy.topics import Channel, Topic
from argosy_controller.db.tables import DesiredRow, DesiredSlotRow, DeviceRow, OutboxRow

LIFETIME_S = 30 * 86400.0
#: Names in one SQL statement; SQLite allows 32,766 parameters, PostgreSQL 65,535.
_CHUNK = 1000

Row = TypeVar("Row", bound=SQLModel)


@dataclass(frozen=True)
class DesiredWriter:
    """What signing a desired document needs.

    Attributes:
        repository_id: sha256 of TUF root version 1.
        signer: of the TUF role `director`.
        timestamp_version: gives the current version of the TUF timestamp.
        lifetime_s: how long a document can be accepted, in seconds.
    """

    repository_id: str
    signer: Signer
    timestamp_version: Callable[[], int]
    lifetime_s: float = LIFETIME_S


@dataclass(frozen=True)
class Wish:
    """One slot of one device. `content` None empties the slot; `rollout` is on whose behalf."""

    device: str
    slot: str
    content: SlotContent | None
    rollout: int | None = None


def wish(
    session: Session,
    writer: DesiredWriter,
    device: str,
    slot: str,
    content: SlotContent | None,
    gates: Gates | None,
    rollout: int | None,
    now: float,
) -> int:
    """Makes one wish; see `wish_all`. Returns the generation of the document that carries it."""
    return wish_all(session, writer, [Wish(device, slot, content, rollout)], gates, now)[device]


def wish_all(session: Session, writer: DesiredWriter, wishes: Sequence[Wish], gates: Gates | None, now: float) -> dict[str, int]:
    """Makes wishes, each device's into one new document.

    Args:
        session: a write transaction.
        writer: signs.
        wishes: of two for the same slot of a device the later one holds.
        gates: device gates of the new documents; None keeps each device's current ones.
        now: seconds since 1970.

    Returns:
        Device name to the generation issued: above every one that was issued or reported before.

    Raises:
        NotFound: a device does not exist; nothing was changed.
    """
    holdings = _Holdings.load(session, {one.device for one in wishes})
    for name in {one.device for one in wishes} - holdings.devices.keys():
        raise NotFound(f"device {name!r} is not enrolled: see 'controller devices list'")
    generations = {name: max(row.generation, row.reported_generation) + 1 for name, row in holdings.devices.items()}
    for one in wishes:
        holdings.put(session, one, generations[one.device])
    for name, generation in generations.items():
        holdings.devices[name].generation = generation
        holdings.issue(session, writer, name, gates, now)
    holdings.announce(session, generations, now)
    return generations


def reissue(session: Session, writer: DesiredWriter, devices: Iterable[str], now: float) -> None:
    """Issues the same wishes under a new generation: for devices that have seen a higher one than this database remembers."""
    holdings = _Holdings.load(session, set(devices))
    names = [name for name in holdings.devices if name in holdings.documents]
    for name in names:
        row = holdings.devices[name]
        row.generation = max(row.generation, row.reported_generation) + 1
        holdings.issue(session, writer, name, None, now)
    holdings.announce(session, names, now)


def resign_if_half_over(session: Session, writer: DesiredWriter, device: str, now: float) -> bool:
    """Signs the device's document again, same generation and wishes, if half of its life is over; whether it did."""
    return resign_half_over(session, writer, [device], now) > 0


def resign_half_over(session: Session, writer: DesiredWriter, devices: Iterable[str], now: float) -> int:
    """As `resign_if_half_over` for many; returns how many documents were signed again."""
    return _sign_again(session, writer, _half_over(session, set(devices), now), now)


def resign_after_key_change(session: Session, writer: DesiredWriter, now: float) -> int:
    """Signs documents again, same generation and wishes, that the present director key did not sign: devices refuse those
    from the change of root on. Returns how many there were."""
    present = writer.signer.public_key.keyid
    rows = session.exec(select(DesiredRow.device, DesiredRow.envelope))
    return _sign_again(session, writer, {device for device, envelope in rows if present not in _signers(envelope)}, now)


def _signers(envelope: bytes) -> set[str]:
    return {signature["keyid"] for signature in msgspec.json.decode(envelope, type=dict)["signatures"]}


def _sign_again(session: Session, writer: DesiredWriter, names: set[str], now: float) -> int:
    if not names:
        return 0
    holdings = _Holdings.load(session, names)
    for name in holdings.devices:
        holdings.issue(session, writer, name, None, now)
    holdings.announce(session, holdings.devices, now)
    return len(holdings.devices)


def current_envelope(session: Session, device: str) -> bytes | None:
    """The device's signed desired document as JSON bytes; None before the first."""
    row = session.get(DesiredRow, device)
    return None if row is None else row.envelope


def withdraw(session: Session, device: str, now: float) -> None:
    """Takes a device's wishes and document away, also from the broker: for a device that was revoked."""
    session.exec(delete(DesiredSlotRow).where(col(DesiredSlotRow.device) == device))
    session.exec(delete(DesiredRow).where(col(DesiredRow.device) == device))
    _replace_messages(session, {Topic(device, Channel.DESIRED).text: b""}, now)


def _half_over(session: Session, names: set[str], now: float) -> set[str]:
    due: set[str] = set()
    for chunk in _chunks(names):
        rows = select(DesiredRow.device).where(
            col(DesiredRow.device).in_(chunk), now - DesiredRow.issued >= (DesiredRow.expires - DesiredRow.issued) / 2
        )
        due.update(session.exec(rows))
    return due


@dataclass(frozen=True)
class _Holdings:
    """The rows of some devices, loaded in three statements however many there are."""

    devices: dict[str, DeviceRow]
    slots: dict[str, dict[str, DesiredSlotRow]]
    documents: dict[str, DesiredRow]

    @classmethod
    def load(cls, session: Session, names: set[str]) -> _Holdings:
        devices: dict[str, DeviceRow] = {}
        slots: dict[str, dict[str, DesiredSlotRow]] = {name: {} for name in names}
        documents: dict[str, DesiredRow] = {}
        for chunk in _chunks(names):
            devices.update({row.name: row for row in session.exec(select(DeviceRow).where(col(DeviceRow.name).in_(chunk)))})
            for row in session.exec(select(DesiredSlotRow).where(col(DesiredSlotRow.device).in_(chunk))):
                slots[row.device][row.slot] = row
            documents.update({row.device: row for row in session.exec(select(DesiredRow).where(col(DesiredRow.device).in_(chunk)))})
        return cls(devices, slots, documents)

    def put(self, session: Session, one: Wish, generation: int) -> None:
        """Brings the slot's row to the wish."""
        row = self.slots[one.device].pop(one.slot, None)
        if one.content is None:
            if row is not None:
                session.delete(row)
            return
        values = {**msgspec.structs.asdict(one.content), "generation": generation, "rollout": one.rollout}
        self.slots[one.device][one.slot] = _upsert(session, row, DesiredSlotRow, {"device": one.device, "slot": one.slot, **values})

    def issue(self, session: Session, writer: DesiredWriter, name: str, gates: Gates | None, now: float) -> None:
        """Signs a document of all the device's wishes at its present generation."""
        row = self.documents.get(name)
        document = Desired(
            repository=writer.repository_id,
            device=name,
            generation=self.devices[name].generation,
            issued=now,
            expires=now + writer.lifetime_s,
            timestamp_version=writer.timestamp_version(),
            slots=self._contents(name),
            gates=gates if gates is not None else _gates_of(row),
        )
        values = {"generation": document.generation, "issued": document.issued, "expires": document.expires}
        envelope = seal(PAYLOAD_TYPE, to_json(document), writer.signer)
        self.documents[name] = _upsert(session, row, DesiredRow, {"device": name, **values, "envelope": envelope})

    def announce(self, session: Session, names: Iterable[str], now: float) -> None:
        """Puts the documents into the outbox."""
        _replace_messages(session, {Topic(name, Channel.DESIRED).text: self.documents[name].envelope for name in names}, now)

    def _contents(self, name: str) -> dict[str, SlotContent]:
        return {slot: content_of_row(row) for slot, row in sorted(self.slots[name].items())}


def content_of_row(row: DesiredSlotRow) -> SlotContent:
    """The row's content as it goes into a document."""
    return SlotContent(model=row.model, version=row.version, variant=row.variant, sha256=row.sha256, length=row.length)


def _upsert(session: Session, row: Row | None, kind: type[Row], values: Mapping[str, object]) -> Row:
    if row is None:
        row = kind(**values)
    else:
        row.sqlmodel_update(dict(values))
    session.add(row)
    return row


def _gates_of(row: DesiredRow | None) -> Gates:
    """The gates in a document that was signed here; a document signed again must wish exactly the same."""
    if row is None:
        return Gates()
    payload = msgspec.json.decode(row.envelope, type=dict)["payload"]
    return from_json(Desired, base64.b64decode(payload)).gates


def _replace_messages(session: Session, payloads: Mapping[str, bytes], now: float) -> None:
    """One outbox row per topic: what an earlier one would announce is superseded, and a device would refuse it as a replay."""
    for chunk in _chunks(payloads):
        session.exec(delete(OutboxRow).where(col(OutboxRow.topic).in_(chunk)))
    session.add_all(OutboxRow(topic=topic, payload=payload, retained=True, created=now) for topic, payload in payloads.items())


def _chunks(names: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(names)
    return (ordered[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK))
