"""Who may read and write what at the broker: derived from `argosy.topics`, for every kind of broker."""

from __future__ import annotations

from argosy.names import CONTROLLER
from argosy.topics import READ_BY_DEVICE, ROOT, WRITTEN_BY_DEVICE, Channel, parse_topic

#: All of Argosy's topics: what the controller may read and write.
EVERYTHING = f"{ROOT.partition('/')[0]}/#"
_TREE = EVERYTHING.removesuffix("#")


def may_publish(identity: str, topic: str) -> bool:
    """Whether the certificate name `identity` may publish to `topic` (also as a last will)."""
    if identity == CONTROLLER:
        return topic.startswith(_TREE)
    return _is_own(identity, topic, WRITTEN_BY_DEVICE)


def may_subscribe(identity: str, topic_filter: str) -> bool:
    """Whether `identity` may subscribe to `topic_filter`: a device names its own topics one by one, without wildcards."""
    if identity == CONTROLLER:
        return topic_filter.startswith(_TREE)
    return _is_own(identity, topic_filter, READ_BY_DEVICE)


def mosquitto_acl() -> str:
    """The same rules as an ACL file for mosquitto, where `%u` stands for the certificate's name."""
    patterns = [f"pattern {verb} {ROOT}/%u/{c.value}" for verb, c in _channels()]
    return "\n".join([f"user {CONTROLLER}", f"topic readwrite {EVERYTHING}", *patterns, ""])


def _channels() -> list[tuple[str, Channel]]:
    return [("read" if c in READ_BY_DEVICE else "write", c) for c in Channel]


def _is_own(device: str, topic: str, channels: frozenset[Channel]) -> bool:
    parsed = parse_topic(topic)
    return parsed is not None and parsed.device == device and parsed.channel in channels
