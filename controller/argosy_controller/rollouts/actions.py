"""What a rollout can do next. Each action says why; the reason is what operators read."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Failure
from argosy_controller.rollouts.facts import Held


@dataclass(frozen=True)
class Tell:
    """Wish `content` for the device. `deadline` None: it is offline, its clock starts when it is seen."""

    device: str
    content: SlotContent
    stage: int
    deadline: float | None
    previous: Held | None
    reason: str


@dataclass(frozen=True)
class Expect:
    """A told device came online: from now on it has until `deadline`."""

    device: str
    deadline: float


@dataclass(frozen=True)
class Confirm:
    """The device serves exactly what it was told."""

    device: str


@dataclass(frozen=True)
class WentBack:
    """The device gave a verdict against the version."""

    device: str
    failure: Failure


@dataclass(frozen=True)
class Lost:
    """The device does not count any more; it is heard again when it speaks."""

    device: str
    reason: str


@dataclass(frozen=True)
class Exclude:
    """The device cannot be told anything."""

    device: str
    stage: int
    reason: str


@dataclass(frozen=True)
class TakeBack:
    """Wish for the device what it should have held before; None empties the slot."""

    device: str
    previous: Held | None
    reason: str


@dataclass(frozen=True)
class Advance:
    """Start stage `stage` (an index)."""

    stage: int
    reason: str


@dataclass(frozen=True)
class Finish:
    """Every device that is online has confirmed."""

    reason: str


@dataclass(frozen=True)
class Pause:
    """Stop telling further devices until an operator decides."""

    reason: str


@dataclass(frozen=True)
class Abort:
    """Stop for good."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """Nothing can be done now; says for what it waits, so that waiting and done cannot be confused."""

    reason: str


Action = Tell | Expect | Confirm | WentBack | Lost | Exclude | TakeBack | Advance | Finish | Pause | Abort | Wait
