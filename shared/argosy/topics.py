"""MQTT topics: one type for both directions; nothing else in the project takes a topic apart.

>>> Topic("pi-7", Channel.DESIRED).text
'argosy/v1/d/pi-7/desired'
>>> parse_topic("argosy/v1/d/pi-7/event")
Topic(device='pi-7', channel=<Channel.EVENT: 'event'>)
>>> parse_topic("argosy/v1/d/../event") is None
True
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from argosy.errors import InvalidInput
from argosy.names import check_name

ROOT = "argosy/v1/d"
#: The largest MQTT packet that either side sends or accepts.
MAX_PACKET_BYTES = 1 << 20


class Channel(Enum):
    """What a topic is for. Retained channels hold the latest document, others a stream of messages."""

    DESIRED = "desired"
    COMMAND = "command"
    CHUNK = "chunk"
    REPORTED = "reported"
    PRESENCE = "presence"
    EVENT = "event"
    TELEMETRY = "telemetry"
    RESULT = "result"
    FETCH = "fetch"

    @property
    def retained(self) -> bool:
        """Whether messages here are published with the retain flag."""
        return self in (Channel.DESIRED, Channel.REPORTED, Channel.PRESENCE)


#: What a device may subscribe to, below its own name and nowhere else.
READ_BY_DEVICE = frozenset({Channel.DESIRED, Channel.COMMAND, Channel.CHUNK})
#: What a device may publish to, below its own name and nowhere else.
WRITTEN_BY_DEVICE = frozenset(Channel) - READ_BY_DEVICE


@dataclass(frozen=True)
class Topic:
    """A channel of one device."""

    device: str
    channel: Channel

    @property
    def text(self) -> str:
        """As it goes on the wire."""
        return f"{ROOT}/{self.device}/{self.channel.value}"


def parse_topic(text: str) -> Topic | None:
    """The topic that `text` spells, or None when it spells none of ours."""
    parts = text.split("/")
    if len(parts) != 5 or "/".join(parts[:3]) != ROOT:
        return None
    try:
        return Topic(check_name("device", parts[3]), Channel(parts[4]))
    except (InvalidInput, ValueError):
        return None


def every_device(channel: Channel) -> str:
    """The filter with which the controller subscribes to one channel of all devices."""
    return f"{ROOT}/+/{channel.value}"
