"""What a rollout's decision is made from: frozen data, no database, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from argosy.protocol.card import Card
from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Failure
from argosy.protocol.reported import Capabilities, SlotReport


class State(Enum):
    """Of a rollout. Paused and running ones are *under way*; finished and aborted ones are final."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    ABORTED = "aborted"


class PartState(Enum):
    """Of one device's part in a rollout."""

    TOLD = "told"  # it has the wish, its answer is outstanding
    CONFIRMED = "confirmed"  # it serves exactly what it was told
    WENT_BACK = "went_back"  # it refused the version or was taken back
    LOST = "lost"  # it was silent past its deadline; its wish stands until the rollout is aborted
    EXCLUDED = "excluded"  # nothing to tell it: no variant that it can run


@dataclass(frozen=True)
class Held:
    """What a slot should hold, and the rollout that wished it (None: no rollout did)."""

    content: SlotContent
    rollout: int | None = None


@dataclass(frozen=True)
class Part:
    """One device's part.

    Attributes:
        content: what it was told; None while excluded.
        generation: of the desired document that told it; 0 while excluded.
        deadline: when silence becomes a loss, seconds since 1970; None while its clock does not run, because the device
            was not online since it was told.
        previous: what the slot should have held before; None where it was empty.
        reason: why it is in this state, as operators read it.
    """

    device: str
    stage: int
    state: PartState
    content: SlotContent | None = None
    generation: int = 0
    deadline: float | None = None
    previous: Held | None = None
    reason: str = ""

    @property
    def member(self) -> bool:
        """Whether the device was ever told."""
        return self.state is not PartState.EXCLUDED

    @property
    def waits_offline(self) -> bool:
        """Told, and not online since: it can neither confirm nor be blamed for silence."""
        return self.state is PartState.TOLD and self.deadline is None


@dataclass(frozen=True)
class Device:
    """What is known of a device, seen through one slot.

    Attributes:
        matches: the rollout's selector selects it now.
        capabilities: None until it reported for the first time.
        report: its report on the slot.
        refusals: its reported refusals that belong to no slot.
        reported_generation: of the last desired document that it accepted.
        desired: what the slot should hold now.
        busy: another rollout under way that has this slot of this device in hand.
    """

    name: str
    online: bool = False
    revoked: bool = False
    matches: bool = True
    capabilities: Capabilities | None = None
    report: SlotReport | None = None
    refusals: tuple[Failure, ...] = ()
    reported_generation: int = 0
    desired: Held | None = None
    busy: int | None = None


@dataclass(frozen=True)
class Rollout:
    """A rollout and its devices' parts.

    Attributes:
        stages: cumulative shares in (0, 1], ascending, the last one 1.
        stage: index of the stage that was started last.
        deadline_s: how long a device may be silent after it was told, in seconds.
        cards: of every variant of the version.
        parts: by device name.
    """

    id: int
    model: str
    version: int
    slot: str
    stages: tuple[float, ...]
    cards: tuple[Card, ...]
    deadline_s: float
    stage: int = 0
    state: State = State.RUNNING
    reason: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The version as people write it."""
        return f"{self.model}@{self.version}"

    @property
    def last(self) -> bool:
        """Whether the last stage was started."""
        return self.stage >= len(self.stages) - 1


#: Seam for comparison gates between devices (canaries against controls). A gate looks at a stage whose devices have all
#: answered and says why the next stage may not start yet, or None. It is asked only for stages that another follows.
ComparisonGate = Callable[[Rollout, Mapping[str, Device]], str | None]


@dataclass(frozen=True)
class Evidence:
    """What was measured beside the reports.

    Attributes:
        listening_since: since when the controller hears the fleet, seconds since 1970; None while it does not. Silence is
            evidence only while somebody listens.
        gates_between_devices: comparison gates; none yet.
    """

    listening_since: float | None = 0.0
    gates_between_devices: Sequence[ComparisonGate] = ()
