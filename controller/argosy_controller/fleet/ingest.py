"""What devices say, into the database: batches of messages, each in one transaction."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from argosy.errors import Unavailable
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow, EventRow
from argosy_controller.fleet.desired import DesiredWriter, reissue, resign_half_over
from argosy_controller.fleet.inbound import EventFact, Fact, Hostile, Inbound, PresenceFact, ReportFact, WindowFact, read
from argosy_controller.fleet.once import insert_once
from argosy_controller.telemetry.windows import keep_windows

_log = logging.getLogger(__name__)
BATCH = 500
_MAX_TEXT = 2000
#: At most one event per device and this many seconds tells of hostile messages.
_HOSTILE_EVERY_S = 3600
#: No device's boot may look like this, so none can take the place of these events.
_HOSTILE_BOOT = "controller:hostile"
_CHUNK = 1000
_RETRY_S = 1.0


@dataclass
class Tally:
    """What became of the messages so far."""

    reports: int = 0
    presences: int = 0
    events: int = 0
    windows: int = 0
    hostile: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Taken:
    """What a batch changed: `state` reports or presences (a rollout may go on), `documents` were signed (publish them)."""

    state: bool = False
    documents: bool = False


def take_in(session: Session, facts: Sequence[Fact], writer: DesiredWriter, now: float, tally: Tally | None = None) -> Taken:
    """Writes facts, in their order.

    Reports of unknown and of revoked devices are ignored. A device that connects and whose document is half over gets it
    signed again; a device that knows a higher generation than this database does (it was restored) gets its wishes anew.

    Args:
        session: a write transaction.
        facts: from `read`, oldest first.
        writer: signs documents.
        now: seconds since 1970.
        tally: counts, updated in place.
    """
    tally = tally if tally is not None else Tally()
    devices = _known(session, {fact.device for fact in facts})
    known = [fact for fact in facts if fact.device in devices]
    tally.ignored += len(facts) - len(known)
    update = _Update(devices)
    for fact in known:
        if isinstance(fact, ReportFact):
            update.report(fact)
        elif isinstance(fact, PresenceFact):
            update.presence(fact)
        elif not isinstance(fact, Hostile):
            update.seen(fact.device, fact.at)
    session.add_all(devices.values())
    insert_once(session, EventRow, [_event_values(fact) for fact in known if isinstance(fact, EventFact)])
    insert_once(session, EventRow, _hostile_values(known))
    keep_windows(session, [(fact.window, fact.at) for fact in known if isinstance(fact, WindowFact)])
    _count(tally, known)
    session.flush()
    outrun = [name for name in update.reported if devices[name].reported_generation > devices[name].generation]
    reissue(session, writer, outrun, now)
    resigned = resign_half_over(session, writer, update.connected - set(outrun), now)
    return Taken(state=update.changed, documents=bool(outrun) or resigned > 0)


@dataclass
class _Update:
    """Applies facts to device rows and remembers what follows from them."""

    devices: dict[str, DeviceRow]
    reported: set[str] = field(default_factory=set)
    connected: set[str] = field(default_factory=set)
    changed: bool = False

    def report(self, fact: ReportFact) -> None:
        row = self.devices[fact.device]
        row.reported = fact.raw
        row.reported_generation = fact.report.generation
        row.boot = fact.report.boot
        self.reported.add(fact.device)
        self.changed = True
        if not fact.retained:
            self.seen(fact.device, fact.at)

    def presence(self, fact: PresenceFact) -> None:
        row = self.devices[fact.device]
        if fact.presence.online and (not row.online or fact.presence.boot != row.boot):
            self.connected.add(fact.device)
        self.changed = self.changed or row.online != fact.presence.online
        row.online = fact.presence.online
        row.boot = fact.presence.boot or row.boot
        if not fact.retained:
            self.seen(fact.device, fact.at)

    def seen(self, device: str, at: float) -> None:
        row = self.devices[device]
        row.last_seen = max(row.last_seen, at)


def _known(session: Session, names: set[str]) -> dict[str, DeviceRow]:
    ordered = sorted(names)
    found: dict[str, DeviceRow] = {}
    for at in range(0, len(ordered), _CHUNK):
        rows = select(DeviceRow).where(col(DeviceRow.name).in_(ordered[at : at + _CHUNK]), col(DeviceRow.revoked).is_(False))
        found.update({row.name: row for row in session.exec(rows)})
    return found


def _event_values(fact: EventFact) -> dict[str, object]:
    event = fact.event
    return {
        "at": event.at if 0 < event.at <= fact.at + 300 else fact.at,
        "device": event.device,
        "boot": event.boot,
        "sequence": event.sequence,
        "kind": event.kind,
        "text": event.text[:_MAX_TEXT],
        "slot": event.slot,
        "code": event.failure.code[:64] if event.failure else "",
    }


def _hostile_values(facts: Iterable[Fact]) -> list[dict[str, object]]:
    """One event per device and hour: telling of a flood must not become one."""
    return [
        {
            "at": fact.at,
            "device": fact.device,
            "boot": _HOSTILE_BOOT,
            "sequence": int(fact.at // _HOSTILE_EVERY_S),
            "kind": "hostile",
            "text": fact.text,
            "slot": "",
            "code": "malformed",
        }
        for fact in facts
        if isinstance(fact, Hostile)
    ]


def _count(tally: Tally, facts: Sequence[Fact]) -> None:
    for fact in facts:
        match fact:
            case ReportFact():
                tally.reports += 1
            case PresenceFact():
                tally.presences += 1
            case EventFact():
                tally.events += 1
            case WindowFact():
                tally.windows += 1
            case Hostile():
                tally.hostile += 1


class Ingest:
    """The thread that empties the link's inbox. Owned by app.py: `start`, then `stop`.

    A message is acknowledged to the broker only after the transaction that holds it was committed: a kill between the two
    makes the broker send it again, and keys recognise it.
    """

    def __init__(
        self,
        database: Database,
        inbox: queue.Queue[Inbound],
        writer: DesiredWriter,
        *,
        clock: Callable[[], float],
        acknowledge: Callable[[Sequence[Inbound]], None],
        on_taken: Callable[[Taken], None],
    ) -> None:
        self.tally = Tally()
        self._database = database
        self._inbox = inbox
        self._writer = writer
        self._clock = clock
        self._acknowledge = acknowledge
        self._on_taken = on_taken
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="argosy-ingest", daemon=True)

    def start(self) -> None:
        """Begins; once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the batch in hand; what is left in the inbox is not acknowledged and comes again."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._next_batch()
            if batch:
                self._take(batch)

    def _next_batch(self) -> list[Inbound]:
        batch: list[Inbound] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._inbox.get(timeout=0.2))
            while len(batch) < BATCH:
                batch.append(self._inbox.get_nowait())
        return batch

    def _take(self, batch: list[Inbound]) -> None:
        """Stores and acknowledges a batch. A database that does not answer is waited for; a message that breaks the code is
        singled out by halves and told as hostile, so that it cannot stop the others."""
        while not self._stopping.is_set() and not self._stored(batch):
            self._stopping.wait(_RETRY_S)

    def _stored(self, batch: list[Inbound]) -> bool:
        """Whether the batch is dealt with; False when the database should be tried again."""
        try:
            self._store([read(message) for message in batch])
            self._acknowledge(batch)
        except (OperationalError, Unavailable) as error:
            _log.warning("the database does not take reports (%s): trying again", error)
            return False
        except Exception as error:
            _log.exception("a batch of %d messages broke the ingest", len(batch))
            self._take_apart(batch, error)
        return True

    def _take_apart(self, batch: list[Inbound], error: Exception) -> None:
        if len(batch) > 1:
            self._take(batch[: len(batch) // 2])
            self._take(batch[len(batch) // 2 :])
            return
        message = batch[0]
        text = f"a {message.topic.channel.value} message broke the controller's ingest ({type(error).__name__})"
        try:
            self._store([Hostile(message.topic.device, message.at, text)])
        except Exception:
            _log.exception("a message of %s is dropped", message.topic.device)
        self._acknowledge(batch)

    def _store(self, facts: Sequence[Fact]) -> None:
        with self._database.write() as session:
            taken = take_in(session, facts, self._writer, self._clock(), self.tally)
        if taken.state or taken.documents:
            self._on_taken(taken)
