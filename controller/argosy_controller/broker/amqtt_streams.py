"""Connections of the amqtt broker: whole, bounded packets in; closing that cannot hang out.

amqtt reads field by field, trusts the length that a packet declares (up to 268 MB), and waits for the other side when it
closes. Here a packet is read whole, and only if it is small enough, before any decoder sees it.
"""

from __future__ import annotations

import asyncio

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter

from argosy.topics import MAX_PACKET_BYTES

_BODY_TIMEOUT_S = 120.0
_CLOSE_TIMEOUT_S = 1.0


class PacketRefused(Exception):
    """A packet breaks a limit; the connection ends. Not an MQTTError: after one of those amqtt would go on reading."""


class FramedReader(StreamReaderAdapter):  # type: ignore[misc]
    """Serves amqtt's decoders out of whole packets of at most `MAX_PACKET_BYTES`."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._stream = reader
        self._frame = memoryview(b"")
        self._decoding = False

    def check_used_up(self) -> None:
        """Call it after a packet was decoded. Raises PacketRefused when something is left over in it."""
        if self._frame:
            raise PacketRefused(f"a packet with {len(self._frame)} bytes too many")
        self._decoding = False

    async def read(self, n: int = -1) -> bytes:
        """The next `n` bytes of the packet, or of the next one after `check_used_up`.

        Raises:
            PacketRefused: the packet is too long, or its fields are longer than the packet.
            asyncio.IncompleteReadError: the other side has closed.
        """
        if n == 0:
            return b""
        if not self._decoding:
            self._frame = memoryview(await self._next_frame())
            self._decoding = True
        if n > len(self._frame):
            raise PacketRefused(f"a field of {n} bytes in a packet with {len(self._frame)} left")
        end = n if n > 0 else len(self._frame)
        taken, self._frame = bytes(self._frame[:end]), self._frame[end:]
        return taken

    async def _next_frame(self) -> bytes:
        head = bytearray(await self._stream.readexactly(1))
        size = await self._read_size(head)
        if len(head) + size > MAX_PACKET_BYTES:
            raise PacketRefused(f"a packet of {size} bytes; at most {MAX_PACKET_BYTES}")
        return bytes(head) + await asyncio.wait_for(self._stream.readexactly(size), _BODY_TIMEOUT_S)

    async def _read_size(self, head: bytearray) -> int:
        """Reads the size field, appending its bytes to `head`."""
        size = 0
        for shift in (0, 7, 14, 21):
            byte = (await self._stream.readexactly(1))[0]
            head.append(byte)
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                return size
        raise PacketRefused("a size field of more than four bytes")


class PromptWriter(StreamWriterAdapter):  # type: ignore[misc]
    is_closed: bool

    """Closes within a second, also when the other side reads nothing."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer)
        self._stream = writer

    async def close(self) -> None:
        """Closes in order, or breaks the connection when that takes too long."""
        if self.is_closed:
            return
        self.is_closed = True
        self._stream.close()
        try:
            await asyncio.wait_for(self._stream.wait_closed(), _CLOSE_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError):
            self._stream.transport.abort()
