"""Packets reach amqtt's decoders whole and bounded, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.topics import MAX_PACKET_BYTES
from argosy_controller.broker.amqtt_hardened import Refused, certificate_identity
from argosy_controller.broker.amqtt_streams import FramedReader, PacketRefused
from argosy_controller.broker.wire import packet, remaining_length

T = TypeVar("T")


def read(data: bytes, work: Callable[[FramedReader], Awaitable[T]]) -> T:
    async def run() -> T:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await work(FramedReader(stream))

    return asyncio.run(run())


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_packets_are_served_as_they_were_sent(bodies: list[bytes]) -> None:
    whole = [packet(0x30, body) for body in bodies]

    async def take(reader: FramedReader) -> list[bytes]:
        got = []
        for each in whole:
            got.append(b"".join([await reader.read(1) for _ in each]))
            reader.check_used_up()
        return got

    assert read(b"".join(whole), take) == whole


def test_a_packet_of_the_promised_size_passes_and_one_byte_more_does_not() -> None:
    body = bytes(MAX_PACKET_BYTES - 4)
    whole = packet(0x30, body)
    assert len(whole) == MAX_PACKET_BYTES
    assert read(whole, lambda reader: reader.read(MAX_PACKET_BYTES)) == whole
    with pytest.raises(PacketRefused, match="at most 1048576"):
        read(packet(0x30, body + b"x"), lambda reader: reader.read(1))


def test_an_endless_packet_is_refused_before_its_body_is_read() -> None:
    with pytest.raises(PacketRefused, match="150000000 bytes"):
        read(b"\x30" + remaining_length(150_000_000), lambda reader: reader.read(1))


def test_a_size_field_that_never_ends_is_refused() -> None:
    with pytest.raises(PacketRefused, match="four bytes"):
        read(b"\x30" + b"\xff" * 20, lambda reader: reader.read(1))


def test_a_field_longer_than_its_packet_is_refused() -> None:
    with pytest.raises(PacketRefused, match="field of 10 bytes in a packet with 4 left"):
        read(packet(0x30, b"ab") + packet(0x30, bytes(100)), lambda reader: reader.read(10))


def test_a_decoder_cannot_run_on_into_the_next_packet() -> None:
    async def run_on(reader: FramedReader) -> None:
        await reader.read(4)
        await reader.read(1)

    with pytest.raises(PacketRefused, match="with 0 left"):
        read(packet(0x30, b"ab") * 2, run_on)


def test_bytes_too_many_are_refused() -> None:
    async def stop_early(reader: FramedReader) -> None:
        await reader.read(3)
        reader.check_used_up()

    with pytest.raises(PacketRefused, match="1 bytes too many"):
        read(packet(0x30, b"ab"), stop_early)


def test_an_end_in_the_middle_is_told_as_such() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        read(packet(0x30, bytes(50))[:20], lambda reader: reader.read(1))


class Connection:
    """Looks like a TLS connection whose client certificate has this subject."""

    def __init__(self, *names: str) -> None:
        self.facts = {"subject": tuple((("commonName", n),) for n in names), "serialNumber": "0A"} if names else {}

    def getpeercert(self) -> dict[str, object]:
        return self.facts


def test_identity_is_the_one_common_name() -> None:
    assert certificate_identity(Connection("pi-7")) == ("pi-7", 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("connection", [None, Connection(), Connection("pi-7", "controller")])
def test_no_or_two_names_are_no_identity(connection: Connection | None) -> None:
    with pytest.raises(Refused):
        certificate_identity(connection)  # type: ignore[arg-type]
