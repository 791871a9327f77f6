"""Messages between supervisor and worker survive any cut, and hostile frames are refused."""

from __future__ import annotations

import struct
import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy.protocol.desired import SlotContent
from argosy.protocol.telemetry import Sketch
from argosy_agent.messages import MAX_FRAME_BYTES, Answer, Channel, Collected, Counts, Load, Order, Ready, Swap, channel_pair, encode_frame

CONTENT = SlotContent(model="m", version=1, variant="v", sha256="0" * 64, length=1)


@pytest.fixture
def ends():
    ours, theirs = channel_pair()
    yield Channel(ours, Answer), Channel(theirs, Order), ours
    ours.close()
    theirs.close()


def test_both_directions_carry_their_messages(ends):
    supervisor, worker, _ = ends
    load = Load(slot="s", folder="/f", content=CONTENT, runtime="onnxruntime")
    supervisor.send(load)
    assert worker.receive() == load
    counts = Counts(
        slot="s",
        content=CONTENT,
        start=1.0,
        duration_s=2.0,
        requests=3,
        errors=1,
        latency=Sketch(scale=6, zeros=0, total=9, buckets=[(3, 2)]),
    )
    worker.send(Collected(counts=[counts]))
    assert supervisor.receive() == Collected(counts=[counts])


@given(cuts=st.lists(st.integers(1, 60), max_size=20))
def test_a_frame_cut_anywhere_arrives_whole(cuts):
    ours, theirs = channel_pair()
    frame, worker = encode_frame(Swap(slot="x" * 40)), Channel(theirs, Order)

    def send():
        at = 0
        for cut in [*cuts, len(frame)]:
            ours.sendall(frame[at : at + cut])
            at += cut
        ours.close()

    sender = threading.Thread(target=send)
    sender.start()
    assert worker.receive() == Swap(slot="x" * 40)
    assert worker.receive() is None
    sender.join()
    worker.close()


def test_closed_channel_gives_none_and_sending_into_it_raises_oserror(ends):
    supervisor, worker, _ = ends
    worker.close()
    assert supervisor.receive() is None
    with pytest.raises(OSError):
        supervisor.send(Swap(slot="s"))


def test_refuses_an_announced_length_above_one_megabyte(ends):
    _, worker, raw = ends
    raw.sendall(struct.pack(">I", MAX_FRAME_BYTES + 1))
    with pytest.raises(InvalidInput, match="at most 1048576"):
        worker.receive()


def test_refuses_to_send_a_message_that_is_too_long(ends):
    supervisor, *_ = ends
    with pytest.raises(InvalidInput, match="too long"):
        supervisor.send(Load(slot="s", folder="x" * MAX_FRAME_BYTES, content=CONTENT, runtime="r"))


def test_refuses_an_end_inside_a_frame(ends):
    _, worker, raw = ends
    raw.sendall(encode_frame(Swap(slot="s"))[:-1])
    raw.close()
    with pytest.raises(InvalidInput, match="inside a frame"):
        worker.receive()


def test_refuses_a_message_of_the_other_direction(ends):
    supervisor, worker, _ = ends
    supervisor.send(Ready(endpoint="http://x", pid=1))
    with pytest.raises(InvalidInput, match="does not decode"):
        worker.receive()


@given(body=st.binary(max_size=200))
def test_random_frames_are_refused_or_decode(body):
    ours, theirs = channel_pair()
    worker = Channel(theirs, Order)
    ours.sendall(struct.pack(">I", len(body)) + body)
    ours.close()
    try:
        assert isinstance(worker.receive(), msgspec.Struct)
    except InvalidInput:
        pass
    finally:
        worker.close()
