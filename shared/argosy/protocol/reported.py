"""What a device says of itself: topics `reported` and `presence` (retained) and `event`."""

from __future__ import annotations

import re
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
    """A model runtime on the device: its name (`onnxruntime`, `tflite-runtime`, `ai-edge-litert`), version, formats.

    Attributes:
        opset: the newest ONNX opset that it takes; 0: not told, or not ONNX (see `newest_opset`).
    """

    name: str
    version: str
    formats: list[str]
    opset: Count = 0


#: The first release of onnxruntime that takes an ONNX opset, newest first. From 1.15 on as each release itself says when it
#: is given a newer one; older ones as in its table (onnxruntime.ai/docs/reference/compatibility.html).
_OPSET_SINCE = (
    ((1, 32), 28),
    ((1, 25), 26),
    ((1, 24), 25),
    ((1, 23), 23),
    ((1, 21), 22),
    ((1, 18), 21),
    ((1, 17), 20),
    ((1, 15), 19),
    ((1, 14), 18),
    ((1, 12), 17),
    ((1, 11), 16),
    ((1, 9), 15),
    ((1, 8), 14),
    ((1, 6), 13),
    ((1, 3), 12),
    ((1, 0), 11),
)
#: The same for the operators of classical models, domain `ai.onnx.ml`. The table says 4 of 1.18 to 1.20; they themselves say 5.
_ML_OPSET_SINCE = (((1, 18), 5), ((1, 17), 4), ((1, 12), 3), ((1, 0), 2))


def newest_opset(runtime: Runtime) -> int:
    """The newest ONNX opset that a runtime takes: what it says of itself, else by its version.

    Returns:
        0 where neither is known: a runtime for other formats, a vendor's own version, a release newer than this table.
    """
    return runtime.opset or _by_version(runtime, _OPSET_SINCE)


def newest_ml_opset(runtime: Runtime) -> int:
    """The newest opset of domain `ai.onnx.ml` that a runtime takes, by its version; 0 where it is not known, as `newest_opset`."""
    return _by_version(runtime, _ML_OPSET_SINCE)


def _by_version(runtime: Runtime, table: tuple[tuple[tuple[int, int], int], ...]) -> int:
    found = re.match(r"(\d{1,4})\.(\d{1,4})(?!\d)", runtime.version) if runtime.name == "onnxruntime" else None
    if found is None:
        return 0
    version = (int(found[1]), int(found[2]))
    newest_known = _OPSET_SINCE[0][0]
    return 0 if version > newest_known else next((opset for since, opset in table if version >= since), 0)


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
