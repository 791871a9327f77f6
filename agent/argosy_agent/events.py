"""What reaches the supervisor's inbox. The link's own events are in argosy_agent.link, a slot's in argosy_agent.updater.state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from argosy.protocol.refusals import Refusal
from argosy_agent.fetch.trusted import Trusted
from argosy_agent.servant import Servant
from argosy_agent.updater.state import SlotEvent


@dataclass(frozen=True)
class Polled:
    """The desired document as it was read over HTTPS."""

    raw: bytes


@dataclass(frozen=True)
class MetadataVerified:
    """Repository metadata is here and verified."""

    trusted: Trusted


@dataclass(frozen=True)
class MetadataFailed:
    """It is not; `refusal` is None when it only did not come."""

    refusal: Refusal | None
    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Happened:
    """Something happened to a slot."""

    slot: str
    event: SlotEvent


@dataclass(frozen=True)
class Progressed:
    """A download went on: bytes done and bytes in all."""

    slot: str
    done: int
    total: int


@dataclass(frozen=True)
class Answered:
    """The worker answered (a struct of argosy_agent.messages)."""

    answer: Any


@dataclass(frozen=True)
class Gone:
    """The worker ended."""

    servant: Servant
    text: str


@dataclass(frozen=True)
class Renewed:
    """The device has a new certificate; the next connections use it."""
