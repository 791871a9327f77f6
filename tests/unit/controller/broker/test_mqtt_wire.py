"""The small MQTT client that attacks are made of."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy_controller.broker.wire import Closed, Will, Wire, connect_packet, packet, publish_packet, remaining_length, split_frame


@given(st.integers(0, 268_435_455))
def test_remaining_length_reads_back(size: int) -> None:
    encoded = remaining_length(size)
    value = sum((byte & 0x7F) << 7 * index for index, byte in enumerate(encoded))
    assert value == size
    assert 1 <= len(encoded) <= 4
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert encoded[-1] < 0x80


@given(st.lists(st.tuples(st.integers(16, 255), st.binary(max_size=300)), max_size=5), st.binary(max_size=3))
def test_packets_split_where_they_were_joined(packets: list[tuple[int, bytes]], tail: bytes) -> None:
    data = b"".join(packet(first, body) for first, body in packets)
    for first, body in packets:
        got = split_frame(data + tail)
        assert got is not None
        assert got[:2] == (first, body)
        data = data[got[2] :]
    assert data == b""


@given(st.integers(16, 255), st.binary(min_size=1, max_size=300))
def test_an_incomplete_packet_is_none(first: int, body: bytes) -> None:
    whole = packet(first, body)
    assert all(split_frame(whole[:n]) is None for n in range(len(whole)))


def test_a_size_field_of_five_bytes_ends_the_connection() -> None:
    with pytest.raises(Closed, match="size field"):
        split_frame(b"\x30\xff\xff\xff\xff\x01")


def test_connect_is_what_the_standard_says() -> None:
    assert connect_packet("pi", True, 60, None) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02pi"
    assert connect_packet("a", False, 1, Will("t", b"w")) == b"\x10\x13\x00\x04MQTT\x04\x2c\x00\x01\x00\x01a\x00\x01t\x00\x01w"
    assert connect_packet("a", True, 1, None, user="u") == b"\x10\x10\x00\x04MQTT\x04\x82\x00\x01\x00\x01a\x00\x01u"


def test_publish_is_what_the_standard_says() -> None:
    assert publish_packet("t", b"x", True, 5) == b"\x33\x06\x00\x01t\x00\x05x"


def pair() -> tuple[Wire, socket.socket]:
    ours, theirs = socket.socketpair()
    return Wire(ours), theirs


def test_messages_are_kept_and_acknowledged() -> None:
    wire, broker = pair()
    with broker, wire:
        broker.sendall(publish_packet("t", b"x", True, 7) + b"\x30\x04\x00\x01ty")
        got = wire.listen(0.05)
        assert [(m.topic, m.payload, m.retain) for m in got] == [("t", b"x", True), ("t", b"y", False)]
        assert broker.recv(100) == b"\x40\x02\x00\x07"


def test_a_packet_in_two_pieces_survives_a_pause_between_them() -> None:
    wire, broker = pair()
    with broker, wire:
        whole = publish_packet("t", b"x", False, 7)
        broker.sendall(whole[:5])
        assert wire.listen(0.05) == []
        broker.sendall(whole[5:])
        assert [m.payload for m in wire.listen(0.05)] == [b"x"]


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x05", b"\x20\x00", b""])
def test_a_refused_connect_is_closed(answer: bytes) -> None:
    wire, broker = pair()
    with wire:
        threading.Thread(target=lambda: (broker.recv(100), broker.sendall(answer), broker.close())).start()
        with pytest.raises(Closed):
            wire.connect("pi-7")
