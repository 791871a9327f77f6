"""A slot with everything around it played by the test: effects are taken note of and answered by hand or at random."""

from __future__ import annotations

from dataclasses import dataclass, field

from argosy.protocol.desired import Gates, SlotContent
from argosy_agent.updater.laws import check
from argosy_agent.updater.machine import resume, step
from argosy_agent.updater.state import (
    CandidateLoaded,
    Effect,
    Fetched,
    Forget,
    Healthy,
    NowEmpty,
    NowLive,
    OrderDiscard,
    OrderEmpty,
    OrderLoad,
    OrderSwap,
    Persist,
    Proved,
    SlotEvent,
    SlotState,
    StartFetch,
    StartProof,
    Target,
    Tell,
    Wished,
    WorkerUp,
)

GATES = Gates(window_s=10.0)


def content(version: int, variant: str = "onnx-fp32") -> SlotContent:
    return SlotContent(model="digits", version=version, variant=variant, sha256=f"{version:064x}", length=100)


def target(version: int, generation: int | None = None) -> Target:
    return Target(content=content(version), generation=version if generation is None else generation, gates=GATES)


@dataclass
class SlotDouble:
    """`state` is the slot, `disk` what was persisted last, `effects` those of the last step, `told` all kinds of events."""

    state: SlotState = field(default_factory=lambda: SlotState(slot="digits"))
    disk: SlotState | None = None
    now: float = 1000.0
    effects: list[Effect] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def happen(self, event: SlotEvent) -> list[Effect]:
        self._take(*step(self.state, event, self.now))
        return self.effects

    def crash(self) -> list[Effect]:
        """Power cut and start: what was persisted is what is left."""
        self._take(*resume(self.disk or SlotState(slot="digits"), self.now))
        return self.effects

    def _take(self, state: SlotState, effects: list[Effect]) -> None:
        check(state)
        acting = [effect for effect in effects if not isinstance(effect, (Persist, Tell))]
        for effect in effects:
            if isinstance(effect, Persist):
                assert acting == [] or effects.index(effect) < effects.index(acting[0]), "persisted before it is acted upon"
                self.disk = effect.state
            elif isinstance(effect, Tell):
                self.told.append(effect.kind)
            elif isinstance(effect, Forget):
                self.disk = None
        self.state, self.effects = state, effects

    def of(self, kind: type) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    # --- the good case, in one go ------------------------------------------------------------------------------------

    def answer_all(self, until: type | None = None) -> None:
        """Answers every question well until none is open, or until an effect of kind `until` was asked for."""
        waiting = list(self.effects)
        while waiting:
            effect = waiting.pop(0)
            if until and isinstance(effect, until):
                return
            event = self.good_answer(effect)
            if event is not None:
                waiting += self.happen(event)

    def good_answer(self, effect: Effect) -> SlotEvent | None:
        worker = self.state.worker
        if isinstance(effect, StartFetch):
            return Fetched(job=effect.job, folder="v", runtime="onnxruntime")
        if isinstance(effect, StartProof):
            return Proved(job=effect.job, runtime=effect.runtime)
        if isinstance(effect, OrderLoad):
            return CandidateLoaded(content=effect.held.content)
        if isinstance(effect, OrderSwap) and worker.swapping:
            return NowLive(content=worker.swapping)
        if isinstance(effect, OrderEmpty):
            return NowEmpty()
        assert not isinstance(effect, OrderDiscard) or worker.loaded is None
        return None

    def confirmed_on(self, version: int) -> SlotDouble:
        """Brings the slot to where `version` serves and is confirmed."""
        if not self.state.worker.up:
            self.happen(WorkerUp())
            self.answer_all()
        self.happen(Wished(target=target(version)))
        self.answer_all()
        self.happen(Healthy(content=content(version)))
        return self

    @property
    def serving(self) -> int | None:
        return self.state.serving.content.version if self.state.serving else None

    @property
    def live(self) -> int | None:
        return self.state.worker.live.version if self.state.worker.live else None
