"""amqtt 0.12.1 made safe for identity by certificate: docs/decisions/0021 says which hole each override closes.

Identity is the certificate's common name, and the client id must be that name. It is judged on the new connection before any
stored session is touched. Nothing is persisted: the controller offers all documents again after every connection.

These are overrides of private methods, so the version is pinned exactly; the attacks under tests/integration/broker tell
when a newer one needs other overrides.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from amqtt.adapters import WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import Subscription, UnSubscription
from amqtt.session import ApplicationMessage, IncomingApplicationMessage, Session

from argosy_controller.broker import rules
from argosy_controller.broker.amqtt_handler import HardHandler
from argosy_controller.broker.amqtt_streams import FramedReader, PacketRefused, PromptWriter

T = TypeVar("T")
_CONNECT_TIMEOUT_S = 10.0
_TAKEOVER_TIMEOUT_S = 10.0
_MAX_KEEP_ALIVE_S = 3600
_BROADCAST_LIMIT = 1000
_STORED_LIMIT_BYTES = 16 << 20
_STORED_LIMIT_MESSAGES = 10_000
_REFUSED = 0x80
_SERIAL, _STORED = "argosy.serial", "argosy.stored"


class Refused(MQTTError):  # type: ignore[misc]
    """The client may not do this; one sentence for the log."""


class HardBroker(Broker):  # type: ignore[misc]
    """The embedded broker. `revoked` holds the serial numbers of certificates that are no longer accepted."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, revoked: frozenset[int]) -> None:
        bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__({"listeners": {"default": {"type": "tcp", "bind": bind}}, "plugins": {}})
        self.revoked = revoked
        self._context = context
        self._broadcast_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_BROADCAST_LIMIT)  # so that a fast publisher waits
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._ends: dict[str, asyncio.Event] = {}

    async def revoke(self, revoked: frozenset[int]) -> None:
        """Accepts none of these serial numbers from now on, and ends the live and stored sessions that used them."""
        self.revoked = revoked
        hit = [name for name, (session, _) in self._sessions.items() if session.attributes.get(_SERIAL) in revoked]
        for name in hit:
            async with self._turn(name):
                await self._end_live(name)
                await self._delete_session(name)

    # --- connections -------------------------------------------------------------------------------------------------

    async def _create_server_instance(self, _name: str, _type: Any, address: str | None, port: int, _ssl: Any) -> asyncio.Server:
        return await asyncio.start_server(
            partial(self.stream_connected, listener_name="default"),
            address.strip("[]") if address else None,
            port,
            reuse_address=True,
            backlog=1024,
            ssl=self._context,
            ssl_handshake_timeout=_CONNECT_TIMEOUT_S,
            ssl_shutdown_timeout=0.25,
        )

    async def stream_connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await self._client_connected(listener_name, FramedReader(reader), PromptWriter(writer))

    async def _session_monitor(self) -> None:
        """Nothing to watch: a clean session is deleted when its connection ends. amqtt's own could delete one that has just come back."""

    async def _initialize_client_session(
        self, reader: FramedReader, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[HardHandler, Session]:
        """Reads CONNECT and judges it on this connection alone; no stored session is looked at yet."""
        try:
            opening = HardHandler.init_from_connect(reader, writer, self.plugins_manager)
            handler, session = await asyncio.wait_for(opening, _CONNECT_TIMEOUT_S)
            reader.check_used_up()
            await self._judge(session, writer)
        except Exception as error:
            await writer.close()
            raise MQTTError(f"{remote_address}:{remote_port}: {error or type(error).__name__}") from error
        keep_alive = min(session.keep_alive or _MAX_KEEP_ALIVE_S, _MAX_KEEP_ALIVE_S)
        session.keep_alive = keep_alive + keep_alive // 2  # MQTT 3.1.1, 3.1.2.10: one and a half times
        return handler, session

    async def _judge(self, session: Session, writer: WriterAdapter) -> None:
        try:
            name, serial = certificate_identity(writer.get_ssl_info())
            session.attributes[_SERIAL] = serial
            if session.client_id != name:
                raise Refused(f"certificate {name!r} asks for client id {session.client_id!r:.80}")
            self._check_not_revoked(session)
            if session.will_flag and not (session.will_qos <= 1 and rules.may_publish(name, session.will_topic or "")):
                raise Refused(f"{name!r} leaves a last will on {session.will_topic!r:.120}")
        except Refused:
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            raise

    def _check_not_revoked(self, session: Session) -> None:
        if session.attributes[_SERIAL] in self.revoked:
            raise Refused(f"the certificate of {session.client_id!r} is revoked")

    async def _handle_client_session(
        self, reader: FramedReader, writer: WriterAdapter, client_session: Session, handler: HardHandler, _server: Any, _listener: str
    ) -> None:
        """Takes the place of an older connection of the same client, serves it to its end, and cleans up."""
        name = client_session.client_id
        session, ended = client_session, asyncio.Event()
        try:
            async with self._turn(name):
                await self._end_live(name)
                self._check_not_revoked(session)
                session = await self._adopt(session)
                handler.serve(session, reader, writer, _Doings(self, session, handler))
                self._sessions[name], self._ends[name] = (session, handler), ended
                await handler.mqtt_connack_authorize(True)
                await handler.start()
                session.transitions.connect()  # from here on the broadcast loop sends to it
            await self._publish_session_retained_messages(session)
            await self._client_message_loop(session, handler)
        finally:
            await self._finish(session, handler, writer)
            ended.set()

    async def _adopt(self, new: Session) -> Session:
        """The stored session with what the new connection brings, or the new one in its place."""
        old = self._sessions.get(new.client_id, (None, None))[0]
        if old is None or new.clean_session or old.clean_session:
            await self._delete_session(new.client_id)
            new.parent = 0
            return new
        for fact in ("will_flag", "will_message", "will_topic", "will_qos", "will_retain", "keep_alive", "clean_session", "ssl_object"):
            setattr(old, fact, getattr(new, fact))
        old.attributes[_SERIAL] = new.attributes[_SERIAL]
        old.remote_address, old.remote_port, old.parent = new.remote_address, new.remote_port, 1
        return old

    async def _end_live(self, name: str) -> None:
        """Ends the client's present connection, and waits until all of its doings are over, its last will included."""
        ended = self._ends.get(name)
        if ended is None or ended.is_set():
            return
        self._sessions[name][1].hang_up()
        await asyncio.wait_for(ended.wait(), _TAKEOVER_TIMEOUT_S)

    async def _client_message_loop(self, session: Session, handler: HardHandler) -> None:
        """The handler works off the packets; here the end is awaited."""
        goodbye = await handler.ended
        await self._handle_disconnect(session, handler, _done(goodbye))

    async def _finish(self, session: Session, handler: HardHandler, writer: WriterAdapter) -> None:
        """Closes, and forgets a clean session."""
        await handler.stop()
        await writer.close()
        if session.clean_session and self._sessions.get(session.client_id, (None, None))[1] is handler:
            await self._delete_session(session.client_id)
            self._ends.pop(session.client_id, None)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One connection of a client at a time comes or goes."""
        lock = self._turns.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    # --- topics ------------------------------------------------------------------------------------------------------

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        allowed = rules.may_publish if action == Action.PUBLISH else rules.may_subscribe
        return allowed(session.client_id, topic)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        if qos > 2:
            return _REFUSED
        code: int = await super().add_subscription((topic_filter, min(qos, 1)), session)
        return code

    async def _run_broadcast(self, running_tasks: Any) -> None:
        """Hands one message to its subscribers."""
        message = await self._broadcast_queue.get()
        topic, data = message["topic"], bytes(message["data"] or b"")
        for session, qos in self._subscribers(topic):
            self._forward(session, topic, data, min(qos, message.get("qos", qos)))

    def _subscribers(self, topic: str) -> Iterator[tuple[Session, int]]:
        yield from list(self._subscriptions.get(topic, ()))
        for topic_filter, subscribers in list(self._subscriptions.items()):
            if ("+" in topic_filter or "#" in topic_filter) and self._matches(topic, topic_filter):
                yield from list(subscribers)

    def _forward(self, session: Session, topic: str, data: bytes, qos: int) -> None:
        handler = self._get_handler(session)
        if handler is not None and session.transitions.is_connected():
            handler.deliver(topic, data, qos, retain=False)
        elif not session.clean_session and qos:
            self._store(session, topic, data, qos)

    def _store(self, session: Session, topic: str, data: bytes, qos: int) -> None:
        """Keeps a message for a client that is away; a full store keeps no more."""
        size = session.attributes.get(_STORED, 0) + len(data)
        if size > _STORED_LIMIT_BYTES or session.retained_messages.qsize() >= _STORED_LIMIT_MESSAGES:
            self.logger.warning("too much is stored for client %s: a message is dropped", session.client_id)
            return
        session.attributes[_STORED] = size
        session.retained_messages.put_nowait(ApplicationMessage(None, topic, qos, data, retain=False))

    async def _publish_session_retained_messages(self, session: Session) -> None:
        """Sends what was stored while the client was away."""
        handler = self._get_handler(session)
        session.attributes[_STORED] = 0
        while not session.retained_messages.empty():
            message = session.retained_messages.get_nowait()
            handler.deliver(message.topic, message.data, message.qos, retain=False)

    async def _publish_retained_messages_for_subscription(self, subscription: tuple[str, int], session: Session) -> None:
        """Only for a filter that this session has just subscribed to, and without waiting for the client."""
        topic_filter, qos = subscription
        handler = self._get_handler(session)
        for message in self._retained_for(topic_filter):
            handler.deliver(message.topic, message.data, min(qos, 1, message.qos or 0), retain=True)

    def _retained_for(self, topic_filter: str) -> list[Any]:
        if "+" not in topic_filter and "#" not in topic_filter:
            exact = self._retained_messages.get(topic_filter)
            return [] if exact is None else [exact]
        return [m for t, m in self._retained_messages.items() if self._matches(t, topic_filter)]


class _Doings:
    """What the broker does about the packets of one connection."""

    def __init__(self, broker: HardBroker, session: Session, handler: HardHandler) -> None:
        self._broker, self._session, self._handler = broker, session, handler

    async def take_message(self, message: IncomingApplicationMessage) -> None:
        if not await self._broker._handle_message_delivery(self._session, self._handler, _done(message)):
            raise PacketRefused(f"a message on the topic {message.topic!r:.80}, which can be none")

    async def subscribe(self, subscription: Subscription) -> None:
        await self._broker._handle_subscription(self._session, self._handler, _done(subscription))

    async def unsubscribe(self, unsubscription: UnSubscription) -> None:
        await self._broker._handle_unsubscription(self._session, self._handler, _done(unsubscription))


def _done(result: T) -> asyncio.Future[T]:
    """amqtt hands results on as futures."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


def certificate_identity(connection: ssl.SSLObject | None) -> tuple[str, int]:
    """The common name and serial number of the client's verified certificate.

    Raises:
        Refused: there is no certificate, or not exactly one common name in it.
    """
    facts: Any = connection.getpeercert() if connection is not None else None
    if not facts:
        raise Refused("no client certificate")
    names = [value for part in facts["subject"] for key, value in part if key == "commonName"]
    if len(names) != 1:
        raise Refused("a client certificate without exactly one common name")
    return names[0], int(facts["serialNumber"], 16)


def server_context() -> ssl.SSLContext:
    """TLS 1.2 or later that takes only clients with a certificate, and never resumes: a resumed session is not checked again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context
