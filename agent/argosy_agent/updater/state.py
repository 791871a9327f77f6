"""What the updater knows of one slot, what can happen to it, and what it may ask for. Frozen data, no behaviour.

An update goes through the phases

    Resting -> Queued -> Fetching -> Proving -> Loading -> Swapping -> Watching -> Resting

and from every one of them back to Resting (refused, superseded) or, where trying again helps, to Queued. What *serves* is
told apart from that: `serving` is what should serve, `worker.live` what the worker says it serves; whenever the two
differ the machine loads and swaps. So a start of the agent, a restart of the worker and a way back are one rule.
"""

from __future__ import annotations

from typing import Union

import msgspec

from argosy.protocol.desired import Gates, SlotContent
from argosy.protocol.refusals import Failure, Refusal
from argosy.protocol.telemetry import Sketch


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Compared and stored by value."""


class _Tagged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One arm of a union."""


class Target(_Frozen, frozen=True, kw_only=True):
    """What a desired document wants in the slot, and the gates that it set."""

    content: SlotContent
    generation: int
    gates: Gates


class Held(_Frozen, frozen=True, kw_only=True):
    """A content that lies verified on disk and passed its proof here.

    Attributes:
        folder: name of its folder below STATE/variants.
        runtime: the runtime it was proved with.
        confirmed: it passed its health window.
    """

    content: SlotContent
    generation: int
    folder: str
    runtime: str
    gates: Gates = Gates()
    confirmed: bool = False


# --- phases of an update -------------------------------------------------------------------------------------------


class Resting(_Tagged, frozen=True, kw_only=True):
    """No update under way."""


class Queued(_Tagged, frozen=True, kw_only=True):
    """Waits until `due` (seconds since 1970); `attempt` counts failed tries before."""

    target: Target
    attempt: int = 0
    due: float = 0.0


class Fetching(_Tagged, frozen=True, kw_only=True):
    """The files are being fetched and verified. `job` ties answers to the question."""

    target: Target
    attempt: int
    job: int


class Proving(_Tagged, frozen=True, kw_only=True):
    """The probe process runs."""

    target: Target
    folder: str
    runtime: str
    job: int


class Loading(_Tagged, frozen=True, kw_only=True):
    """The worker loads the candidate beside what serves. `deaths` counts how often the worker died over it."""

    target: Target
    held: Held
    deaths: int = 0


class Swapping(_Tagged, frozen=True, kw_only=True):
    """The worker was asked to let the candidate serve; whether it did is not known. Never interrupted."""

    target: Target
    held: Held
    deaths: int = 0


class Watching(_Tagged, frozen=True, kw_only=True):
    """The health window of `serving` runs since `since`; `before` is the latency of the previous content, if there was any."""

    since: float
    before: Sketch | None = None


Phase = Union[Resting, Queued, Fetching, Proving, Loading, Swapping, Watching]  # noqa: UP007 -- read at run time on 3.10


class Verdict(_Frozen, frozen=True, kw_only=True):
    """A content that was refused for good under one generation."""

    content: SlotContent
    generation: int


class Worker(_Frozen, frozen=True, kw_only=True):
    """What the serving worker holds for this slot. Forgotten when the agent or the worker restarts.

    Attributes:
        up: the worker runs.
        live: what it serves.
        asked: what it is loading; at most one of `asked`, `swapping`, `emptying` is set: one order at a time.
        loaded: the candidate that is loaded and does not serve.
        swapping: what was asked to serve.
        emptying: it was asked to serve nothing.
        broken: what should serve and could not be loaded since the worker's last start; tried again from `retry` on, in the
            updater's seconds, for want of memory passes.
    """

    up: bool = False
    live: SlotContent | None = None
    asked: SlotContent | None = None
    loaded: SlotContent | None = None
    swapping: SlotContent | None = None
    emptying: bool = False
    broken: SlotContent | None = None
    retry: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether an order is unanswered."""
        return self.asked is not None or self.swapping is not None or self.emptying


class SlotState(_Frozen, frozen=True, kw_only=True):
    """Everything about one slot. All but `worker` is persisted before it is acted upon.

    Attributes:
        wanted: by the last accepted document; None when it names no such slot.
        serving: what should serve.
        previous: the last confirmed content before `serving`: the way back.
        phase: of the update under way.
        refused: not to be tried again for the same generation.
        failure: the last refusal, kept until another update succeeds.
        before: latency of what served before the last swap; survives a restart in the middle of the window.
        jobs: counts questions to the fetcher and the prober.
        worker: see Worker.
    """

    slot: str
    wanted: Target | None = None
    serving: Held | None = None
    previous: Held | None = None
    phase: Phase = Resting()
    refused: Verdict | None = None
    failure: Failure | None = None
    before: Sketch | None = None
    jobs: int = 0
    worker: Worker = Worker()


# --- events --------------------------------------------------------------------------------------------------------


class Wished(_Tagged, frozen=True, kw_only=True):
    """A document was accepted; None: it names no such slot. `spread_s` delays a new update."""

    target: Target | None
    spread_s: float = 0.0


class Tick(_Tagged, frozen=True, kw_only=True):
    """Time went on."""


class Fetched(_Tagged, frozen=True, kw_only=True):
    """The variant lies verified in STATE/variants/`folder`; `runtime` is the one chosen for it."""

    job: int
    folder: str
    runtime: str


class FetchFailed(_Tagged, frozen=True, kw_only=True):
    """Not there yet, or never.

    Attributes:
        shed: the server was busy: no failure, no attempt; it may have named a time, `retry_after_s`.
        jitter: a number in [0, 1) that differs from device to device, so a fleet does not come back as one.
    """

    job: int
    refusal: Refusal
    text: str
    shed: bool = False
    retry_after_s: float | None = None
    jitter: float = 0.0


class Proved(_Tagged, frozen=True, kw_only=True):
    """The probe passed with `runtime`."""

    job: int
    runtime: str


class ProofFailed(_Tagged, frozen=True, kw_only=True):
    """The probe did not pass, or did not run, which is the same."""

    job: int
    refusal: Refusal
    text: str


class WorkerUp(_Tagged, frozen=True, kw_only=True):
    """A fresh worker listens and holds nothing."""


class WorkerDied(_Tagged, frozen=True, kw_only=True):
    """It is gone with all it held. `blame` is False when we ended it ourselves."""

    text: str
    blame: bool = True


class CandidateLoaded(_Tagged, frozen=True, kw_only=True):
    """The worker loaded `content`."""

    content: SlotContent


class LoadRefused(_Tagged, frozen=True, kw_only=True):
    """The worker could not load `content` (None: it had nothing to swap to)."""

    content: SlotContent | None
    text: str


class NowLive(_Tagged, frozen=True, kw_only=True):
    """The worker serves `content`. `before`: latency of what served before it, over the last minute."""

    content: SlotContent
    before: Sketch | None = None


class NowEmpty(_Tagged, frozen=True, kw_only=True):
    """The worker serves nothing in the slot."""


class Healthy(_Tagged, frozen=True, kw_only=True):
    """The health window of `content` is over and passed."""

    content: SlotContent


class Unhealthy(_Tagged, frozen=True, kw_only=True):
    """A device gate failed for `content`."""

    content: SlotContent
    refusal: Refusal
    text: str


SlotEvent = Union[  # noqa: UP007
    Wished, Tick, Fetched, FetchFailed, Proved, ProofFailed, WorkerUp, WorkerDied, CandidateLoaded, LoadRefused, NowLive, NowEmpty,
    Healthy, Unhealthy,
]  # fmt: skip

# --- effects -------------------------------------------------------------------------------------------------------


class Persist(_Tagged, frozen=True, kw_only=True):
    """Store this state durably before anything after it is done."""

    state: SlotState


class StartFetch(_Tagged, frozen=True, kw_only=True):
    """Fetch and verify; answers Fetched or FetchFailed."""

    slot: str
    target: Target
    job: int


class StartProof(_Tagged, frozen=True, kw_only=True):
    """Run the probe; answers Proved or ProofFailed."""

    slot: str
    target: Target
    folder: str
    runtime: str
    job: int


class Abandon(_Tagged, frozen=True, kw_only=True):
    """Stop job `job`; its answer is not wanted any more."""

    slot: str
    job: int


class OrderLoad(_Tagged, frozen=True, kw_only=True):
    """Have the worker load; answers CandidateLoaded or LoadRefused."""

    slot: str
    held: Held


class OrderSwap(_Tagged, frozen=True, kw_only=True):
    """Have the worker swap; answers NowLive or LoadRefused."""

    slot: str


class OrderDiscard(_Tagged, frozen=True, kw_only=True):
    """Have the worker drop the candidate; no answer."""

    slot: str


class OrderEmpty(_Tagged, frozen=True, kw_only=True):
    """Have the worker empty the slot; answers NowEmpty."""

    slot: str


class Follow(_Tagged, frozen=True, kw_only=True):
    """Point in-process users at what serves; None: at nothing."""

    slot: str
    held: Held | None


class Tell(_Tagged, frozen=True, kw_only=True):
    """An event for the controller and the log. `kind` as argosy.protocol.reported.Event has it."""

    slot: str
    kind: str
    text: str
    failure: Failure | None = None


class Tidy(_Tagged, frozen=True, kw_only=True):
    """Remove from disk what no slot needs any more."""


class Forget(_Tagged, frozen=True, kw_only=True):
    """The slot is empty and unwanted: remove its record."""

    slot: str


Effect = Union[  # noqa: UP007
    Persist, StartFetch, StartProof, Abandon, OrderLoad, OrderSwap, OrderDiscard, OrderEmpty, Follow, Tell, Tidy, Forget,
]  # fmt: skip
