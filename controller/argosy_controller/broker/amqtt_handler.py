"""One client of the amqtt broker: packets one after the other, with limits. amqtt 0.12.1's own handler leaves them open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from amqtt.adapters import WriterAdapter
from amqtt.mqtt import packet_class
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import DISCONNECT, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, MQTTFixedHeader
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler, Subscription, UnSubscription
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.session import IncomingApplicationMessage, OutgoingApplicationMessage, Session

from argosy_controller.broker.amqtt_streams import FramedReader, PacketRefused

#: What may be on its way to one client, unwritten or unacknowledged; beyond it, the client counts as stuck and is cut off.
OUTSTANDING_LIMIT_BYTES = 64 << 20
#: How long one packet may be in work; longer only if the client does not read our answers.
_WORK_TIMEOUT_S = 60.0


class Doings(Protocol):
    """What the broker does about a client's packets."""

    async def take_message(self, message: IncomingApplicationMessage) -> None:
        """Passes a message on; raises PacketRefused to end the connection."""

    async def subscribe(self, subscription: Subscription) -> None:
        """Subscribes and acknowledges."""

    async def unsubscribe(self, unsubscription: UnSubscription) -> None:
        """Unsubscribes and acknowledges."""


class HardHandler(BrokerProtocolHandler):  # type: ignore[misc]
    """Differs from amqtt's handler in this:

    - a packet is done before the next is read, so a client that is too fast waits (amqtt queues without limit, and loses
      what is queued when the client says goodbye), and an undecodable packet ends the connection (amqtt reads on in its middle);
    - a client that is silent beyond its keep-alive is disconnected, and its last will goes out (amqtt does nothing);
    - QoS 2 is refused: amqtt holds every half-done QoS 2 message in memory, without limit;
    - an unacknowledged QoS 1 message is kept and sent again to a client that comes back (amqtt drops it after 5 s);
    - what is on its way to a client that does not read is limited.

    Attributes:
        outstanding: bytes of messages on their way to the client.
        ended: done when the connection is to end: the client's goodbye, or None when it broke.
    """

    doings: Doings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outstanding = 0
        self.ended: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: dict[int, Callable[[Any], Awaitable[None]]] = {
            PUBLISH: self.handle_publish,
            PUBACK: self.handle_puback,
            SUBSCRIBE: self.handle_subscribe,
            UNSUBSCRIBE: self.handle_unsubscribe,
            PINGREQ: self.handle_pingreq,
            DISCONNECT: self.handle_disconnect,
        }

    def serve(self, session: Session, reader: FramedReader, writer: WriterAdapter, doings: Doings) -> None:
        """Binds the connection to its session, before `start`."""
        self.attach(session, reader, writer)
        self.doings = doings

    def hang_up(self) -> None:
        """Ends the connection soon, as a broken one: the last will is published."""
        if not self.ended.done():
            self.ended.set_result(None)

    def deliver(self, topic: str, data: bytes, qos: int, retain: bool) -> None:
        """Sends a message in the background; hangs up on a client with too much outstanding.

        Args:
            topic: exact topic.
            data: payload.
            qos: 0 or 1.
            retain: whether this is a retained message, given because of a new subscription.
        """
        if self.outstanding + len(data) > OUTSTANDING_LIMIT_BYTES:
            self.logger.warning("client %s does not read: cut off", self.session.client_id)
            self.hang_up()
        else:
            self._background(self.mqtt_publish(topic, data, qos, retain), len(data))

    async def stop(self) -> None:
        self.hang_up()
        await super().stop()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    # --- what the client sends ---------------------------------------------------------------------------------------

    async def _reader_loop(self) -> None:
        """Reads and works until the client says goodbye, breaks a rule, or is silent for too long."""
        self._reader_ready.set()
        try:
            while not self.ended.done():
                header = await asyncio.wait_for(MQTTFixedHeader.from_stream(self.reader), self.keepalive_timeout)
                if header is None:
                    break
                packet = await packet_class(header).from_stream(self.reader, fixed_header=header)
                self.reader.check_used_up()
                await asyncio.wait_for(self._handle(packet), _WORK_TIMEOUT_S)
        except (asyncio.CancelledError, asyncio.TimeoutError):
            pass
        except Exception as error:
            self.logger.warning("client %s: %s: cut off", self.session.client_id, error or type(error).__name__)
        finally:
            self.hang_up()
            self._reader_stopped.set()

    async def _handle(self, packet: Any) -> None:
        kind = packet.fixed_header.packet_type
        if kind not in self._work:
            raise PacketRefused(f"a packet of type {kind}, which has no place here")
        await self._work[kind](packet)

    async def handle_publish(self, publish_packet: PublishPacket) -> None:
        if publish_packet.qos > QOS_1:
            raise PacketRefused("a message with QoS 2, which is not offered")
        identifier = publish_packet.variable_header.packet_id
        topic, data, retain = publish_packet.topic_name, publish_packet.data, publish_packet.retain_flag
        message = IncomingApplicationMessage(identifier, topic, publish_packet.qos, data, retain)
        message.publish_packet = publish_packet
        await self.doings.take_message(message)
        if publish_packet.qos:
            await self._send_packet(PubackPacket.build(identifier))

    async def handle_subscribe(self, subscribe: SubscribePacket) -> None:
        await self.doings.subscribe(Subscription(subscribe.variable_header.packet_id, subscribe.payload.topics))

    async def handle_unsubscribe(self, unsubscribe: UnsubscribePacket) -> None:
        await self.doings.unsubscribe(UnSubscription(unsubscribe.variable_header.packet_id, unsubscribe.payload.topics))

    async def handle_disconnect(self, disconnect: DisconnectPacket) -> None:
        if not self.ended.done():
            self.ended.set_result(disconnect)

    async def handle_connection_closed(self) -> None:
        self.hang_up()

    # --- what the client gets ----------------------------------------------------------------------------------------

    def _background(self, work: Coroutine[Any, Any, Any], size: int) -> None:
        async def run() -> None:
            try:
                await work
            except Exception as error:
                self.logger.warning("client %s: a message was not sent: %r", self.session.client_id, error)

        def finish(task: asyncio.Task[None]) -> None:
            self.outstanding -= size
            self._tasks.discard(task)
            work.close()  # where the task was cancelled before it began

        self.outstanding += size
        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(finish)

    async def _retry_deliveries(self) -> None:
        """In the background: amqtt's own waits for the client, and the broker would wait with it."""
        for message in list(self.session.inflight_out.values()):
            self._background(self._handle_message_flow(message), len(message.data))

    async def _handle_qos1_message_flow(self, app_message: OutgoingApplicationMessage) -> None:
        """The message stays in the session until PUBACK comes, so a session that is resumed sends it again."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        again = app_message.publish_packet is not None
        self.session.inflight_out[app_message.packet_id] = app_message
        self._puback_waiters[app_message.packet_id] = waiter
        try:
            app_message.publish_packet = app_message.build_publish_packet(dup=again)
            await self._send_packet(app_message.publish_packet)
            await waiter
            self.session.inflight_out.pop(app_message.packet_id, None)
        finally:
            if self._puback_waiters.get(app_message.packet_id) is waiter:
                del self._puback_waiters[app_message.packet_id]
