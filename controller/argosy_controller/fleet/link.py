"""The controller's MQTT connection: one paho client, one thread that publishes.

In: callbacks only put typed messages into a bounded queue. They are acknowledged to the broker when they are safe in the
database; the session is persistent, so what came meanwhile is delivered again.

Out: after every connection all current desired documents are offered again (retained messages are a cache, the database is
the truth), a window of unacknowledged publishes at a time; then the outbox is drained, a row at its PUBACK.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, delete, select

from argosy.errors import Unavailable
from argosy.names import CONTROLLER
from argosy.topics import MAX_PACKET_BYTES, Channel, Topic, every_device, parse_topic
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DesiredRow, DeviceRow, OutboxRow
from argosy_controller.fleet.inbound import Inbound

_log = logging.getLogger(__name__)
#: Publishes under way at a time, and rows per statement.
WINDOW = 100
INBOX_SIZE = 10_000
_PUBACK_TIMEOUT_S = 30.0
_LOOK_S = 0.5
_TICK_S = 1.0
_KEEPALIVE_S = 30
_READ = (Channel.REPORTED, Channel.PRESENCE, Channel.EVENT, Channel.TELEMETRY)


def tls_context(ca_file: Path, certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Mutual TLS towards the broker: the device CA is the only one trusted, the controller shows its own certificate."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca_file))
    context.load_cert_chain(str(certificate_file), str(key_file))
    return context


@dataclass(frozen=True)
class _Receipt:
    connection: int
    message_id: int


@dataclass(frozen=True)
class _Message:
    """To be published. `row` is its outbox row, None when it is only offered again."""

    topic: str
    payload: bytes
    retained: bool
    row: int | None = None


class Link:
    """Owned by app.py: `start`, `wake` after every transaction that wrote to the outbox, `stop`.

    Attributes:
        inbox: what devices said, at most INBOX_SIZE messages; when it stays full, a message is dropped unacknowledged, so
            that the broker delivers it again with the next connection.
        dropped: how many were.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        database: Database,
        *,
        clock: Callable[[], float],
        on_listening: Callable[[], None] | None = None,
    ) -> None:
        """`tls` None is for tests against a broker on loopback only. `on_listening` is called when the fleet is heard again."""
        self.inbox: queue.Queue[Inbound] = queue.Queue(INBOX_SIZE)
        self.dropped = 0
        self._address = (host, port)
        self._database = database
        self._clock = clock
        self._on_listening = on_listening or (lambda: None)
        self._listening_since: float | None = None
        self._connection = 0
        self._offered = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._client = self._new_client(tls)
        self._publisher = threading.Thread(target=self._run_publisher, name="argosy-publisher", daemon=True)

    @property
    def listening_since(self) -> float | None:
        """Since when every channel is subscribed, seconds since 1970; None while the fleet is not heard."""
        return self._listening_since

    def start(self) -> None:
        """Connects in the background, again and again; a broker that is down is waited for."""
        self._client.connect_async(*self._address, keepalive=_KEEPALIVE_S)
        self._client.loop_start()
        self._publisher.start()

    def wake(self) -> None:
        """There is something in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """Disconnects and joins both threads; unpublished rows stay in the outbox."""
        self._stopping.set()
        self._wake.set()
        self._client.disconnect()
        if self._publisher.is_alive():
            self._publisher.join(timeout=5)
        self._client.loop_stop()

    def acknowledge(self, messages: Sequence[Inbound]) -> None:
        """Tells the broker that these are safe. Receipts of an earlier connection are void: the broker sends those again."""
        for message in messages:
            receipt = message.receipt
            if isinstance(receipt, _Receipt) and receipt.connection == self._connection:
                self._client.ack(receipt.message_id, 1)

    # paho's side: its thread runs these

    def _new_client(self, tls: ssl.SSLContext | None) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=CONTROLLER, clean_session=False, protocol=mqtt.MQTTv311, manual_ack=True
        )
        if tls is not None:
            client.tls_set_context(tls)
        client.max_inflight_messages_set(WINDOW)
        client.reconnect_delay_set(min_delay=1, max_delay=15)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        # An error in a callback is logged; it must not end paho's thread.
        client.suppress_exceptions = True
        client.enable_logger(_log)
        return client

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses the controller: %s", reason)
            return
        self._connection += 1
        client.subscribe([(every_device(channel), 1) for channel in _READ])

    def _on_subscribe(self, _client: object, _data: object, _mid: int, reasons: Sequence[Any], _properties: object) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("the broker does not let the controller read the devices' topics: check its access rules")
            return
        self._listening_since = self._clock()
        self._wake.set()
        self._on_listening()

    def _on_disconnect(self, _client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        self._listening_since = None
        if not self._stopping.is_set():
            _log.warning("connection to the broker lost: %s", reason)

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        topic = parse_topic(message.topic)
        receipt = _Receipt(self._connection, message.mid) if message.qos else None
        if topic is None:
            if receipt:
                client.ack(message.mid, message.qos)
            return
        # A copy beyond the limit is cut: ingest refuses it by its length without holding it.
        payload = bytes(message.payload[: MAX_PACKET_BYTES + 1])
        try:
            self.inbox.put(Inbound(topic, payload, bool(message.retain), self._clock(), receipt), timeout=5)
        except queue.Full:
            self.dropped += 1

    # The publisher's side

    def _run_publisher(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_TICK_S)
            self._wake.clear()
            # paho's own thread (only it touches the socket, which TLS requires). Does nothing while that runs, and starts it
            # again should it ever have died.
            self._client.loop_start()
            if self._listening_since is None:
                continue
            try:
                self._publish_all()
            except (OperationalError, Unavailable) as error:
                _log.warning("the outbox cannot be read (%s): trying again", error)
            except Exception:
                _log.exception("publishing broke: trying again")

    def _publish_all(self) -> None:
        connection = self._connection
        if self._offered != connection:
            if not self._send_all(self._documents()):
                return
            self._offered = connection
        while (batch := self._outbox()) and self._send(batch):
            self._forget(batch)

    def _documents(self) -> Iterator[list[_Message]]:
        """All current documents, in pages, each in a read transaction of its own."""
        after = ""
        while True:
            with self._database.read() as session:
                page = _documents_after(session, after)
            if not page:
                return
            yield [_Message(Topic(device, Channel.DESIRED).text, envelope, True) for device, envelope in page]
            after = page[-1][0]

    def _send_all(self, pages: Iterator[list[_Message]]) -> bool:
        return all(self._send(page) for page in pages)

    def _outbox(self) -> list[_Message]:
        with self._database.read() as session:
            rows = session.exec(select(OutboxRow).order_by(col(OutboxRow.id)).limit(WINDOW)).all()
            return [_Message(row.topic, row.payload, row.retained, row.id) for row in rows]

    def _send(self, batch: Sequence[_Message]) -> bool:
        """Publishes and waits for every PUBACK; False when they did not all come (the caller tries again later)."""
        sent = [self._client.publish(message.topic, message.payload, qos=1, retain=message.retained) for message in batch]
        limit = time.monotonic() + _PUBACK_TIMEOUT_S
        return all(self._arrives(one, limit) for one in sent)

    def _arrives(self, sent: mqtt.MQTTMessageInfo, limit: float) -> bool:
        """Waits for a PUBACK in short turns, so that neither the end nor a lost connection is waited through."""
        if sent.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        while not sent.is_published():
            if self._stopping.is_set() or self._listening_since is None or time.monotonic() > limit:
                return False
            sent.wait_for_publish(_LOOK_S)
        return True

    def _forget(self, batch: Sequence[_Message]) -> None:
        """Deletes published rows. The payload is compared because SQLite gives a freed row number to the next message."""
        with self._database.write() as session:
            for message in batch:
                session.exec(delete(OutboxRow).where(col(OutboxRow.id) == message.row, col(OutboxRow.payload) == message.payload))


def _documents_after(session: Session, after: str) -> Sequence[tuple[str, bytes]]:
    rows = (
        select(DesiredRow.device, DesiredRow.envelope)
        .join(DeviceRow, col(DeviceRow.name) == DesiredRow.device)
        .where(DesiredRow.device > after, col(DeviceRow.revoked).is_(False))
        .order_by(DesiredRow.device)
        .limit(WINDOW)
    )
    return session.exec(rows).all()
