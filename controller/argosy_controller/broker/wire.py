"""MQTT 3.1.1 by hand over TLS: just enough to try attacks that no decent client library would send.

Packet layouts follow the OASIS standard, sections 2 and 3. Blocking sockets with a timeout on every step.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
_TIMEOUT_S = 10.0


class Closed(Exception):
    """The other side ended the connection, refused it, or did not answer in time."""


@dataclass(frozen=True)
class Will:
    """A last will, published by the broker when the connection breaks."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True)
class Message:
    """A message that the broker delivered."""

    topic: str
    payload: bytes
    retain: bool


def text(value: str | bytes) -> bytes:
    """A length-prefixed string field."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def remaining_length(size: int) -> bytes:
    """The variable-length size field (section 2.2.3), for 0 to 268,435,455 bytes."""
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """A whole packet with the given first byte (type and flags)."""
    return bytes([first]) + remaining_length(len(body)) + body


def split_frame(data: bytes | bytearray) -> tuple[int, bytes, int] | None:
    """The first packet in `data`: its first byte, its body, and its whole length; None while it is incomplete.

    Raises:
        Closed: the size field has more than four bytes.
    """
    size = 0
    for index in range(1, min(len(data), 6)):
        if index == 5:
            raise Closed("the broker sent a size field of more than four bytes")
        size |= (data[index] & 0x7F) << 7 * (index - 1)
        if data[index] < 0x80:
            end = index + 1 + size
            return (data[0], bytes(data[index + 1 : end]), end) if len(data) >= end else None
    return None


def connect_packet(client_id: str, clean: bool, keep_alive_s: int, will: Will | None, user: str = "") -> bytes:
    """CONNECT (section 3.1), with a user name only if given: the certificate says who we are."""
    flags = (0x02 if clean else 0) | ((0x0C | (0x20 if will.retain else 0)) if will else 0) | (0x80 if user else 0)
    tail = (text(will.topic) + text(will.payload) if will else b"") + (text(user) if user else b"")
    return packet(0x10, text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2, "big") + text(client_id) + tail)


def publish_packet(topic: str, payload: bytes, retain: bool, packet_id: int) -> bytes:
    """PUBLISH (section 3.3) at QoS 1."""
    return packet(0x32 | retain, text(topic) + packet_id.to_bytes(2, "big") + payload)


def client_context(ca: Path, files: tuple[Path, Path] | None) -> ssl.SSLContext:
    """TLS 1.2 or later that trusts only `ca`, with a client certificate and key if given. Names are not compared: the CA signs only our brokers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    if files:
        context.load_cert_chain(*files)
    return context


class Wire:
    """One connection. What arrives unasked is kept in `messages`."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._stream.settimeout(_TIMEOUT_S)
        self._buffer = bytearray()
        self._last_id = 0
        self.session_present = False
        self.messages: list[Message] = []

    @classmethod
    def open(cls, address: tuple[str, int], context: ssl.SSLContext, timeout_s: float = _TIMEOUT_S) -> Wire:
        """Connects and shakes hands. Raises Closed when either fails."""
        raw = None
        try:
            raw = socket.create_connection(address, timeout_s)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return cls(context.wrap_socket(raw))
        except OSError as error:
            if raw is not None:
                raw.close()
            raise Closed(str(error)) from error

    def connect(self, client_id: str, clean: bool = True, keep_alive_s: int = 60, will: Will | None = None, user: str = "") -> Wire:
        """Sends CONNECT and waits for its answer. Raises Closed when refused."""
        self.send(connect_packet(client_id, clean, keep_alive_s, will, user))
        answer = self._until(CONNACK)
        if len(answer) != 2 or answer[1] != 0:
            raise Closed(f"CONNECT refused with code {answer[1] if len(answer) > 1 else '?'}")
        self.session_present = bool(answer[0] & 1)
        return self

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publishes at QoS 1 and waits for PUBACK."""
        self.send(publish_packet(topic, payload, retain, self._next_id()))
        self._until(PUBACK)

    def subscribe(self, *filters: str) -> list[int]:
        """Subscribes at QoS 1; returns the broker's code for each filter (0x80: refused)."""
        body = self._next_id().to_bytes(2, "big") + b"".join(text(f) + b"\x01" for f in filters)
        self.send(packet(0x82, body))
        return list(self._until(SUBACK)[2:])

    def ping(self) -> None:
        """Waits for the broker's PINGRESP."""
        self.send(b"\xc0\x00")
        self._until(PINGRESP)

    def listen(self, for_s: float) -> list[Message]:
        """Collects messages for a time (or until closed), and returns all so far."""
        with contextlib.suppress(Closed):
            deadline = time.monotonic() + for_s
            while True:
                self._next(deadline)
        return self.messages

    def await_message(self, topic: str, timeout_s: float = _TIMEOUT_S) -> Message:
        """Waits until a message on `topic` has come, and returns it. Raises Closed when none does."""
        deadline = time.monotonic() + timeout_s
        while not (found := [m for m in self.messages if m.topic == topic]):
            self._next(deadline)
        return found[-1]

    def await_end(self, timeout_s: float) -> bool:
        """Whether the other side ends the connection within this time."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(Closed):
            while True:
                self._next(deadline)
        return time.monotonic() < deadline

    def send(self, data: bytes) -> None:
        """Sends raw bytes. Raises Closed when the connection has ended."""
        try:
            self._stream.settimeout(_TIMEOUT_S)
            self._stream.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def disconnect(self) -> None:
        """Says goodbye (no last will) and closes."""
        with contextlib.suppress(Closed):
            self.send(b"\xe0\x00")
        self.close()

    def close(self) -> None:
        """Breaks the connection without a word, so that the broker publishes the last will."""
        self._stream.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65535 + 1
        return self._last_id

    def _until(self, kind: int, timeout_s: float = _TIMEOUT_S) -> bytes:
        deadline = time.monotonic() + timeout_s
        while True:
            got, body = self._next(deadline)
            if got == kind:
                return body

    def _next(self, deadline: float) -> tuple[int, bytes]:
        """The next packet's type and body; messages are acknowledged and kept. A timeout leaves what has come in the buffer."""
        while (frame := split_frame(self._buffer)) is None:
            self._buffer += self._receive(deadline)
        first, body, used = frame
        del self._buffer[:used]
        if first >> 4 == PUBLISH:
            self._keep(first, body)
        return first >> 4, body

    def _keep(self, first: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        acknowledged = bool(first & 0x06)
        self.messages.append(Message(body[2:end].decode(), body[end + 2 * acknowledged :], bool(first & 1)))
        if acknowledged:
            self.send(packet(0x40, body[end : end + 2]))

    def _receive(self, deadline: float) -> bytes:
        try:
            self._stream.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._stream.recv(65536)
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("the broker closed the connection")
        return data
