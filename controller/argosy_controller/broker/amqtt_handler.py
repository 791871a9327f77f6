"""One client of the amqtt broker, with limits: what amqtt 0.12.1's own handler leaves open is closed here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from amqtt.adapters import WriterAdapter
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import IncomingApplicationMessage, OutgoingApplicationMessage, Session

from argosy_controller.broker.amqtt_streams import FramedReader

#: What may be on its way to one client, unwritten or unacknowledged; beyond it, the client counts as stuck and is cut off.
OUTSTANDING_LIMIT_BYTES = 64 << 20


class HardHandler(BrokerProtocolHandler):  # type: ignore[misc]
    """Differs from amqtt's handler in this:

    - a client that is silent beyond its keep-alive is disconnected, and its last will goes out (amqtt only logs it);
    - QoS 2 is refused: amqtt holds every half-done QoS 2 message in memory, without limit;
    - an unacknowledged QoS 1 message is kept and sent again to a client that comes back (amqtt drops it after 5 s);
    - what is on its way to a client that does not read is limited.

    Attributes:
        outstanding: bytes of messages on their way to the client.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outstanding = 0
        self._sending = 0
        self._ended = False
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, session: Session, reader: FramedReader, writer: WriterAdapter) -> None:
        super().attach(session, reader, writer)
        reader.backlog = self._backlog

    def hang_up(self) -> None:
        """Ends the connection soon, as a broken one: the last will is published."""
        if self._disconnect_waiter is not None and not self._disconnect_waiter.done():
            self._disconnect_waiter.set_result(None)

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
        elif not self._ended:
            self._background(self.mqtt_publish(topic, data, qos, retain), len(data))

    def handle_read_timeout(self) -> None:
        self.hang_up()

    async def handle_publish(self, publish_packet: PublishPacket) -> None:
        if publish_packet.qos > QOS_1:
            self.logger.warning("client %s publishes with QoS 2, which is not offered: cut off", self.session.client_id)
            self.hang_up()
        else:
            await super().handle_publish(publish_packet)

    async def stop(self) -> None:
        self._ended = True
        await super().stop()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    def _backlog(self) -> int:
        queues = (self.session.delivered_message_queue, self._pending_subscriptions, self._pending_unsubscriptions)
        waiting: int = sum(q.qsize() for q in queues)
        return self._sending + waiting

    def _background(self, work: Coroutine[Any, Any, Any], size: int) -> None:
        async def run() -> None:
            self.outstanding += size
            try:
                await work
            except Exception as error:
                self.logger.warning("client %s: a message was not sent: %r", self.session.client_id, error)
            finally:
                self.outstanding -= size
                work.close()

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_packet(self, packet: Any) -> None:
        self._sending += 1
        try:
            await super()._send_packet(packet)
        finally:
            self._sending -= 1

    async def _retry_deliveries(self) -> None:
        """In the background: amqtt's own waits for the client, and the broker would wait with it."""
        for message in list(self.session.inflight_out.values()):
            self._background(self._handle_message_flow(message), len(message.data))
        self.session.inflight_in.clear()

    async def _handle_qos1_message_flow(self, app_message: OutgoingApplicationMessage | IncomingApplicationMessage) -> None:
        if isinstance(app_message, OutgoingApplicationMessage):
            await self._send_until_acknowledged(app_message)
        else:
            await super()._handle_qos1_message_flow(app_message)

    async def _send_until_acknowledged(self, message: OutgoingApplicationMessage) -> None:
        """The message stays in the session until PUBACK comes, so a session that is resumed sends it again."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        again = message.publish_packet is not None
        self.session.inflight_out[message.packet_id] = message
        self._puback_waiters[message.packet_id] = waiter
        try:
            message.publish_packet = message.build_publish_packet(dup=again)
            await self._send_packet(message.publish_packet)
            await waiter
            self.session.inflight_out.pop(message.packet_id, None)
        finally:
            if self._puback_waiters.get(message.packet_id) is waiter:
                del self._puback_waiters[message.packet_id]

    def _stop_waiters(self) -> None:
        every = (self._puback_waiters, self._pubrec_waiters, self._pubcomp_waiters, self._pubrel_waiters)
        for waiter in itertools.chain.from_iterable(list(w.values()) for w in every):
            waiter.cancel()
