"""Whatever happens in whatever order: the laws hold, nothing unproved ever serves, and in the end the wish is served."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slot_double import SlotDouble, content, target

from argosy.protocol.refusals import Refusal
from argosy_agent.updater.state import (
    Abandon,
    Effect,
    FetchFailed,
    Healthy,
    LoadRefused,
    NowLive,
    OrderDiscard,
    OrderEmpty,
    OrderLoad,
    OrderSwap,
    ProofFailed,
    Proved,
    StartFetch,
    StartProof,
    Tick,
    Unhealthy,
    Watching,
    Wished,
    WorkerDied,
    WorkerUp,
)

REFUSALS = st.sampled_from([Refusal.WRONG_BYTES, Refusal.NO_SPACE, Refusal.DOWNLOAD_FAILED, Refusal.UNKNOWN_TARGET])


class Life(RuleBasedStateMachine):
    """A device's life around one slot: wishes, answers good and bad, deaths, power cuts, time."""

    def __init__(self) -> None:
        super().__init__()
        self.slot = SlotDouble()
        self.open: list[Effect] = []
        self.generation = 0
        self.proved: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self._after(self.slot.happen(WorkerUp()))

    def _after(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Abandon):
                self.open = [e for e in self.open if getattr(e, "job", None) != effect.job]
            elif isinstance(effect, OrderDiscard):
                self.open = [e for e in self.open if not isinstance(e, OrderLoad)]
            elif isinstance(effect, (StartFetch, StartProof, OrderLoad, OrderSwap, OrderEmpty)):
                self.open.append(effect)

    @rule(version=st.integers(1, 4), again=st.booleans())
    def wish(self, version: int, again: bool) -> None:
        self.generation += 1
        self._after(self.slot.happen(Wished(target=target(version, self.generation), spread_s=5.0 if again else 0.0)))

    @rule()
    def wish_nothing(self) -> None:
        self._after(self.slot.happen(Wished(target=None)))

    @precondition(lambda self: self.open)
    @rule(pick=st.integers(0, 100))
    def answer_well(self, pick: int) -> None:
        effect = self.open.pop(pick % len(self.open))
        event = self.slot.good_answer(effect)
        if isinstance(event, Proved) and isinstance(effect, StartProof):
            self.proved.add(effect.target.content.version)
        if event is not None:
            self._after(self.slot.happen(event))

    @precondition(lambda self: self.open)
    @rule(pick=st.integers(0, 100), refusal=REFUSALS, shed=st.booleans())
    def answer_badly(self, pick: int, refusal: Refusal, shed: bool) -> None:
        effect = self.open.pop(pick % len(self.open))
        if isinstance(effect, StartFetch):
            self._after(self.slot.happen(FetchFailed(job=effect.job, refusal=refusal, text="", shed=shed)))
        elif isinstance(effect, StartProof):
            self._after(self.slot.happen(ProofFailed(job=effect.job, refusal=Refusal.PROBE_NUMBERS, text="")))
        elif isinstance(effect, OrderLoad):
            self._after(self.slot.happen(LoadRefused(content=effect.held.content, text="")))
        elif isinstance(effect, OrderSwap):
            self._after(self.slot.happen(LoadRefused(content=None, text="")))
        else:
            self.open.append(effect)

    @rule(blame=st.booleans())
    def worker_dies(self, blame: bool) -> None:
        self._lose_worker()
        self._after(self.slot.happen(WorkerDied(text="", blame=blame)))

    @precondition(lambda self: not self.slot.state.worker.up)
    @rule()
    def worker_comes(self) -> None:
        self._lose_worker()
        self._after(self.slot.happen(WorkerUp()))

    def _lose_worker(self) -> None:
        self.open = [effect for effect in self.open if isinstance(effect, (StartFetch, StartProof))]

    @rule()
    def power_cut(self) -> None:
        self.open = []
        self._after(self.slot.crash())

    @rule(version=st.integers(1, 4), well=st.booleans())
    def judge(self, version: int, well: bool) -> None:
        bad = Unhealthy(content=content(version), refusal=Refusal.TOO_SLOW, text="")
        self._after(self.slot.happen(Healthy(content=content(version)) if well else bad))

    @rule(version=st.integers(1, 4))
    def a_late_answer(self, version: int) -> None:
        self._after(self.slot.happen(LoadRefused(content=content(version), text="late")))

    @rule(seconds=st.floats(0, 500))
    def time_goes_on(self, seconds: float) -> None:
        self.slot.now += seconds
        self._after(self.slot.happen(Tick()))

    @invariant()
    def nothing_unproved_serves(self) -> None:
        assert self.slot.live is None or self.slot.live in self.proved

    @invariant()
    def what_is_on_disk_is_what_is_in_memory(self) -> None:
        memory, disk = self.slot.state, self.slot.disk
        if disk is not None:
            assert (disk.wanted, disk.serving, disk.previous, disk.phase) == (memory.wanted, memory.serving, memory.previous, memory.phase)

    def teardown(self) -> None:
        """Once all is well again, the newest wish serves and is confirmed."""
        if not self.slot.state.worker.up:
            self.worker_comes()
        self.wish(4, False)
        for _ in range(60):
            while self.open:
                self.answer_well(0)
            self.time_goes_on(400.0)
            if isinstance(self.slot.state.phase, Watching):
                assert self.slot.state.serving
                self._after(self.slot.happen(Healthy(content=self.slot.state.serving.content)))
        assert self.slot.live == 4, self.slot.state
        assert self.slot.state.serving and self.slot.state.serving.confirmed


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_a_swap_that_nobody_asked_for_is_put_right() -> None:
    slot = SlotDouble().confirmed_on(1)
    slot.happen(NowLive(content=content(7)))
    slot.answer_all()
    assert slot.live == 1


def test_a_worker_lost_in_the_health_window_begins_the_window_again() -> None:
    slot = SlotDouble()
    slot.happen(WorkerUp())
    slot.happen(Wished(target=target(1)))
    slot.answer_all()
    assert isinstance(slot.state.phase, Watching)
    slot.happen(WorkerDied(text="", blame=False))
    assert not isinstance(slot.state.phase, Watching)
    slot.happen(WorkerUp())
    slot.answer_all()
    assert isinstance(slot.state.phase, Watching) and slot.live == 1


def test_a_power_cut_in_a_swap_that_nobody_wants_any_more_begins_nothing() -> None:
    slot = SlotDouble()
    slot.happen(WorkerUp())
    slot.happen(Wished(target=target(1)))
    slot.answer_all(until=OrderSwap)
    slot.happen(Wished(target=None))
    assert slot.crash() and slot.of(StartFetch) == []


def test_a_swap_that_fails_after_another_wish_is_not_tried_again() -> None:
    slot = SlotDouble()
    slot.happen(WorkerUp())
    slot.happen(Wished(target=target(1)))
    slot.answer_all(until=OrderSwap)
    slot.happen(Wished(target=target(2)))
    slot.happen(LoadRefused(content=None, text=""))
    slot.answer_all()
    assert (slot.live, slot.serving) == (2, 2)
