from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy import topics
from argosy.errors import InvalidInput
from argosy.names import check_name
from argosy.topics import READ_BY_DEVICE, WRITTEN_BY_DEVICE, Channel, Topic, every_device, parse_topic

BAD = [
    "",
    "argosy/v1/d",
    "argosy/v1/d/pi-7",
    "argosy/v1/d//event",
    "argosy/v1/d/pi-7/",
    "argosy/v1/d/pi-7/nothing",
    "argosy/v1/d/pi-7/event/more",
    "/argosy/v1/d/pi-7/event",
    "argosy/v2/d/pi-7/event",
    "argosy/v1/d/+/event",
    "argosy/v1/d/#",
    "argosy/v1/d/../event",
    "argosy/v1/d/controller/event",
    "argosy/v1/d/PI/event",
    "argosy/v1/d/pi-7/EVENT",
    "$SYS/broker",
]


@pytest.mark.parametrize("channel", Channel)
def test_a_topic_reads_back_as_what_was_written(channel: Channel) -> None:
    topic = Topic("pi-7", channel)
    assert topic.text == f"argosy/v1/d/pi-7/{channel.value}"
    assert parse_topic(topic.text) == topic


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_topic_of_ours_is_none(text: str) -> None:
    assert parse_topic(text) is None


@given(st.text(max_size=60) | st.from_regex(r"argosy/v1/d/.{0,10}/(event|desired)", fullmatch=True))
def test_whatever_parses_is_spelled_exactly_so(text: str) -> None:
    topic = parse_topic(text)
    if topic is not None:
        assert topic.text == text
        assert check_name("device", topic.device)


def test_a_device_writes_no_channel_that_it_reads() -> None:
    assert not READ_BY_DEVICE & WRITTEN_BY_DEVICE
    assert set(Channel) == READ_BY_DEVICE | WRITTEN_BY_DEVICE
    assert {Channel.DESIRED, Channel.COMMAND} <= READ_BY_DEVICE


def test_only_latest_truths_are_retained() -> None:
    assert {channel for channel in Channel if channel.retained} == {Channel.DESIRED, Channel.REPORTED, Channel.PRESENCE}


def test_the_controllers_filter_is_no_topic_of_a_device() -> None:
    assert every_device(Channel.EVENT) == "argosy/v1/d/+/event"
    assert parse_topic(every_device(Channel.EVENT)) is None
    with pytest.raises(InvalidInput):
        check_name("device", "+")


def test_the_examples_in_the_docstring_hold() -> None:
    assert doctest.testmod(topics).failed == 0
