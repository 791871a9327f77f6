"""What a device says of itself: topics `reported` and `presence` (retained) and `event`."""

from __future__ import annotations

from enum import Enum

import msgspec

from argosy.protocol.codec import Count, Message, Seconds
from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Failure


class ServingState(Enum):
    """What a slot does now. An update in progress is told beside it (`Progress`): the old version goes on serving."""

    EMPTY = "empty"  # nothing was ever confirmed or loaded here
    STARTING = "starting"  # a version is being loaded after a start of the agent
    SERVING = "serving"  # the endpoint answers for it
    FAILED = "failed"  # the version that should serve cannot


class Phase(Enum):
    """How far an update of a slot is."""

    QUEUED = "queued"
    FETCHING = "fetching"
    PROVING = "proving"
    LOADING = "loading"
    WATCHING = "watching"  # the new version serves, its health window runs


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """An update under way. `done_bytes` of `total_bytes` while fetching."""

    version: Count
    variant: str
    phase: Phase
    done_bytes: Count = 0
    total_bytes: Count = 0


class SlotReport(msgspec.Struct, frozen=True, kw_only=True):
    """One slot.

    Attributes:
        content: what serves (or should serve after the start); None while empty.
        state: see ServingState.
        confirmed: the content passed its health window (or needed none).
        generation: of the desired document that brought the content.
        update: the update under way, if any.
        failure: the last refusal for this slot, kept until another update succeeds.
    """

    state: ServingState
    content: SlotContent | None = None
    confirmed: bool = False
    generation: Count = 0
    update: Progress | None = None
    failure: Failure | None = None


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A model runtime on the device: its name (`onnxruntime`, `tflite-runtime`, `ai-edge-litert`), version, formats."""

    name: str
    version: str
    formats: list[str]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a device can run and decode.

    Attributes:
        runtimes: in order of preference.
        precisions: accepted precisions (`fp32`, `fp16`, `int8`); empty means any.
        encodings: wire encodings that it decodes, for example `identity`, `zstd`.
        machine: as `platform.machine()` says.
        memory_bytes: physical memory.
        agent: version of the agent.
    """

    runtimes: list[Runtime]
    precisions: list[str] = []
    encodings: list[str] = msgspec.field(default_factory=lambda: ["identity"])
    machine: str = ""
    memory_bytes: Count = 0
    agent: str = ""


class Reported(Message, frozen=True, kw_only=True):
    """The whole truth about a device, sent again whenever any of it changes: level, not edge.

    Attributes:
        device: its name.
        boot: random per start of the agent.
        generation: of the last desired document that was accepted.
        at: seconds since 1970 by the device's clock.
        slots: slot name to report.
        refusals: the last refused documents and bytes that belong to no slot, newest last, at most 20.
    """

    device: str
    boot: str
    generation: Count
    at: Seconds
    capabilities: Capabilities
    slots: dict[str, SlotReport]
    refusals: list[Failure] = []


class Presence(Message, frozen=True, kw_only=True):
    """Whether the device is connected; the last will says `online: false` when it vanishes."""

    device: str
    online: bool
    boot: str = ""
    at: Seconds = 0.0


class Event(Message, frozen=True, kw_only=True):
    """Something that happened once. De-duplicated by (device, boot, sequence).

    Attributes:
        kind: `accepted`, `fetched`, `proved`, `swapped`, `confirmed`, `refused`, `went-back`, `started`, `worker-died`, or
            `waiting` for what may pass: a network, a full disk.
        text: a sentence for people.
        failure: the refusal, for kinds that are one.
    """

    device: str
    boot: str
    sequence: Count
    at: Seconds
    kind: str
    text: str
    slot: str = ""
    failure: Failure | None = None
