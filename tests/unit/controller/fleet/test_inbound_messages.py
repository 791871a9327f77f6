"""Bytes from devices: facts, or a refusal; never an exception."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleet import SmallDevice, event, message, window

from argosy.protocol.codec import to_json, to_msgpack
from argosy.protocol.reported import Presence
from argosy.protocol.telemetry import Sketch
from argosy.topics import Channel
from argosy_controller.fleet.inbound import MAX_BYTES, EventFact, Hostile, PresenceFact, ReportFact, WindowFact, read

READ = sorted(MAX_BYTES, key=lambda channel: channel.value)


def of_window(**changes: Any) -> object:
    return read(message("a", Channel.TELEMETRY, to_msgpack(window(**changes))))


def test_reads_what_an_honest_device_sends() -> None:
    assert isinstance(read(message("a", Channel.REPORTED, SmallDevice("a").report())), ReportFact)
    assert isinstance(read(message("a", Channel.PRESENCE, to_json(Presence(device="a", online=False)))), PresenceFact)
    assert isinstance(read(message("a", Channel.EVENT, to_json(event()))), EventFact)
    assert isinstance(of_window(), WindowFact)


@pytest.mark.parametrize("channel", READ)
@given(payload=st.binary(max_size=200))
def test_any_bytes_become_a_fact_or_a_refusal(channel: Channel, payload: bytes) -> None:
    assert read(message("a", channel, payload)) is not None


@pytest.mark.parametrize("channel", list(Channel))
def test_refuses_what_is_larger_than_its_channel_allows(channel: Channel) -> None:
    fact = read(message("a", channel, b" " * (MAX_BYTES.get(channel, 0) + 1)))
    assert isinstance(fact, Hostile) and "bytes, at most" in fact.text


def test_refuses_to_let_a_device_speak_for_another() -> None:
    payloads = {
        Channel.REPORTED: SmallDevice("b").report(),
        Channel.PRESENCE: to_json(Presence(device="b", online=True)),
        Channel.EVENT: to_json(event(device="b")),
        Channel.TELEMETRY: to_msgpack(window(device="b")),
    }
    for channel, payload in payloads.items():
        fact = read(message("a", channel, payload))
        assert isinstance(fact, Hostile) and fact.device == "a" and "its topic another" in fact.text


@pytest.mark.parametrize(
    "changes",
    [
        {"requests": 1 << 60},
        {"requests": -1},
        {"errors": 11},
        {"requests": 8, "errors": 0},
        {"start": float("nan")},
        {"start": float("inf")},
        {"duration_s": 1e6},
        {"duration_s": -1.0},
        {"boot": ""},
        {"boot": "controller:hostile"},
        {"slot": "../digits"},
        {"variant": "a/b"},
        {"latency": Sketch(scale=6, zeros=-1, total=0, buckets=[])},
        {"latency": Sketch(scale=6, zeros=0, total=0, buckets=[(1 << 40, 1)])},
        {"latency": Sketch(scale=-5, zeros=0, total=0, buckets=[(1, 1)])},
        {"latency": Sketch(scale=99, zeros=0, total=0, buckets=[])},
    ],
)
def test_refuses_windows_that_would_spoil_the_figures(changes: dict[str, Any]) -> None:
    assert isinstance(of_window(**changes), Hostile)


@pytest.mark.parametrize("changes", [{"sequence": 1 << 60}, {"kind": "x" * 70}, {"slot": "/"}, {"boot": "b 0"}])
def test_refuses_events_out_of_range(changes: dict[str, Any]) -> None:
    assert isinstance(read(message("a", Channel.EVENT, to_json(event(**changes)))), Hostile)


def test_refuses_deep_nesting_and_future_schemas() -> None:
    assert isinstance(read(message("a", Channel.REPORTED, b"[" * 100_000)), Hostile)
    future = SmallDevice("a").report().replace(b'"schema":1', b'"schema":2')
    assert isinstance(read(message("a", Channel.REPORTED, future)), Hostile)
