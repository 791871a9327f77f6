"""The MQTT link: one connection at a time, made anew with back-off; its callbacks only put typed events into the inbox."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from argosy.errors import Untrusted
from argosy.protocol.codec import to_json
from argosy.protocol.reported import Presence
from argosy.topics import MAX_PACKET_BYTES, Channel, Topic, parse_topic
from argosy_agent.clock import Clock
from argosy_agent.device import jitter
from argosy_agent.folder import StateFolder
from argosy_agent.identity import load_identity
from argosy_agent.tls import mutual_context, require_current

_log = logging.getLogger(__name__)

KEEPALIVE_S = 30
_LONGEST_WAIT_S = 60.0
_STEADY_S = 30.0
_QUEUED = 200
_QOS = 1


@dataclass(frozen=True)
class Connected:
    """The broker accepted us. `session` numbers the connection."""

    session: int


@dataclass(frozen=True)
class Disconnected:
    """The connection is gone, or did not come about."""

    session: int
    text: str


@dataclass(frozen=True)
class Received:
    """A message on one of our topics, as bytes."""

    channel: Channel
    payload: bytes


@dataclass(frozen=True)
class Acknowledged:
    """The broker has what `publish` was given with this `tag`."""

    session: int
    tag: Any


LinkEvent = Union[Connected, Disconnected, Received, Acknowledged]  # noqa: UP007
Hear = Callable[[LinkEvent], None]


class Connection:
    """One connection of one device, over a paho client without a thread: whoever owns it calls the client's loop functions.

    Args:
        device, boot: who we are; the will says that the device is offline.
        context: TLS with the device's certificate.
        session: number of the connection, echoed in events.
        hear: takes the events; called from the thread that runs the loop functions.
    """

    def __init__(self, device: str, boot: str, context: ssl.SSLContext, session: int, hear: Hear) -> None:
        self.device = device
        self.session = session
        self._boot = boot
        self._hear = hear
        self._lock = threading.Lock()
        self._tags: dict[int, Any] = {}
        self._early: set[int] = set()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=device, clean_session=False, protocol=mqtt.MQTTv311)
        client.tls_set_context(context)
        client.max_queued_messages_set(_QUEUED)
        client.max_inflight_messages_set(_QUEUED)
        client.connect_timeout = 10.0
        client.will_set(*self._presence(online=False, at=0.0), qos=_QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        # A TLS socket bears one thread at a time. Without this, paho would write from whichever thread publishes; with an event loop
        # of ours registered, it only queues and wakes the loop, which is the thread that reads.
        client.on_socket_register_write = lambda client, userdata, sock: None
        self.client = client

    def publish(self, channel: Channel, payload: bytes, tag: Any = None) -> bool:
        """Sends with QoS 1, retained where the channel is; False when it cannot be taken now.

        Args:
            tag: comes back in `Acknowledged`; None asks for none.
        """
        if len(payload) > MAX_PACKET_BYTES - 512:
            _log.error("a message of %d bytes for channel %s is too large and was not sent", len(payload), channel.value)
            return False
        return self._publish(Topic(self.device, channel).text, payload, channel.retained, tag)

    def announce(self, online: bool, at: float) -> None:
        """Says whether the device is online, `at` seconds since 1970."""
        topic, payload = self._presence(online, at)
        self._publish(topic, payload, True, None)

    def _publish(self, topic: str, payload: bytes, retain: bool, tag: Any) -> bool:
        # No lock of ours is held over `publish`: paho calls `_on_publish` under the lock that `publish` takes.
        info = self.client.publish(topic, payload, qos=_QOS, retain=retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        with self._lock:
            early = info.mid in self._early
            self._early.discard(info.mid)
            if not early:
                self._tags[info.mid] = tag
        if early:
            self._acknowledged(tag)
        return True

    def _acknowledged(self, tag: Any) -> None:
        if tag is not None:
            self._hear(Acknowledged(self.session, tag))

    def _presence(self, online: bool, at: float) -> tuple[str, bytes]:
        presence = Presence(device=self.device, online=online, boot=self._boot, at=at)
        return Topic(self.device, Channel.PRESENCE).text, to_json(presence)

    def _on_connect(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the broker refused the connection: %s", reason)
            return
        client.subscribe([(Topic(self.device, channel).text, _QOS) for channel in (Channel.DESIRED, Channel.COMMAND)])
        self._hear(Connected(self.session))

    def _on_disconnect(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._hear(Disconnected(self.session, str(reason)))

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        topic = parse_topic(message.topic)
        if topic is not None and topic.device == self.device:
            self._hear(Received(topic.channel, bytes(message.payload)))

    def _on_publish(self, client: mqtt.Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._lock:
            known = mid in self._tags
            tag = self._tags.pop(mid, None)
            if not known:  # the answer came before `publish` returned
                self._early.add(mid)
        self._acknowledged(tag)


def wait_before(device: str, attempt: int) -> float:
    """Seconds before connection attempt `attempt` (from 0): doubling to a minute, spread by device so a fleet does not return as one."""
    longest = min(2.0 ** min(attempt, 10), _LONGEST_WAIT_S)
    return longest * (0.5 + jitter(f"{device} link {attempt}") / 2)


class Link:
    """Keeps the device connected from a thread of its own. Certificate, CA and broker address are read for each connection.

    Args:
        folder: the enrolled STATE folder.
        clock: decides how certificate times are judged.
        boot: random per start of the agent.
        hear: takes events, from the link's thread.
    """

    def __init__(self, folder: StateFolder, clock: Clock, boot: str, hear: Hear) -> None:
        self._folder = folder
        self._clock = clock
        self._boot = boot
        self._hear = hear
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._device = load_identity(folder).device
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        """Begins to connect."""
        self._thread.start()

    @property
    def connection(self) -> Connection | None:
        """The present connection, None while there is none; it may break at any time, which an event tells."""
        return self._connection

    def reconnect(self) -> None:
        """Ends the present connection, so that the next one uses a renewed certificate."""
        connection = self._connection
        if connection:
            connection.client.disconnect()

    def stop(self, timeout_s: float) -> None:
        """Disconnects in good order and ends the thread."""
        self._stopping.set()
        self.reconnect()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        attempt, session = 0, 0
        while not self._stopping.is_set():
            session += 1
            lasted = self._connect(session)
            attempt = 0 if lasted >= _STEADY_S else attempt + 1
            self._stopping.wait(wait_before(self._device, max(attempt - 1, 0)))

    def _connect(self, session: int) -> float:
        """Runs one connection to its end; returns how many seconds it lasted."""
        began = self._clock.steady()
        try:
            identity = load_identity(self._folder)
            connection = Connection(identity.device, self._boot, mutual_context(self._folder, self._clock), session, self._hear)
            connection.client.connect(identity.enrolled.broker_host, identity.enrolled.broker_port, KEEPALIVE_S)
            self._check_peer(connection.client)
            self._connection = connection
            while connection.client.loop(timeout=1.0) == mqtt.MQTT_ERR_SUCCESS:
                pass
        except Exception as error:  # paho raises whatever the network does; each of them means: try again
            self._hear(Disconnected(session, f"{type(error).__name__}: {error}"))
        finally:
            self._connection = None
        return self._clock.steady() - began

    def _check_peer(self, client: mqtt.Client) -> None:
        sock = client.socket()
        if self._clock.is_behind() and isinstance(sock, ssl.SSLSocket):
            try:
                require_current(sock.getpeercert(binary_form=True), self._clock.floor)
            except Untrusted:
                client.disconnect()
                raise
