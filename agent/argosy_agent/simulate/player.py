"""One simulated device: the real core and the real link; effects that need hardware answer themselves at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from argosy.protocol.codec import to_json
from argosy.protocol.reported import Capabilities, Event
from argosy.topics import Channel
from argosy_agent.clock import Clock
from argosy_agent.device import Device, DeviceEffect, Facts, KeepAccepted, RefreshMetadata, Times
from argosy_agent.folder import StateFolder
from argosy_agent.identity import load_identity
from argosy_agent.link import KEEPALIVE_S, Acknowledged, Connected, Connection, Disconnected, LinkEvent, Received
from argosy_agent.tls import mutual_context
from argosy_agent.updater.state import (
    CandidateLoaded,
    Fetched,
    NowEmpty,
    OrderEmpty,
    OrderLoad,
    OrderSwap,
    Proved,
    SlotEvent,
    StartFetch,
    StartProof,
    Tell,
    WorkerUp,
)


class Player:
    """Owned by the simulator's loop.

    Args:
        capabilities: what the device says it can run.
        refresh: asks the shared TUF client for fresh metadata; `device.on_metadata` is called when it is there.
        refused: answers a fetch of content that nobody signed with the failure, None when it is signed.

    Attributes:
        told: generation to the moment its document arrived; `confirmed` to the moment its last slot was confirmed, both in
            seconds of time.monotonic().
    """

    def __init__(
        self,
        folder: StateFolder,
        capabilities: Capabilities,
        refresh: Callable[[], None],
        refused: Callable[[StartFetch], SlotEvent | None],
    ) -> None:
        identity = load_identity(folder)
        self._folder, self._clock = folder, Clock(folder.floor)
        self._enrolled = identity.enrolled
        self._boot = f"{int(time.time() * 1000):x}"
        self.device = Device(Facts(identity.device, identity.enrolled.repository, self._boot, capabilities))
        self._refresh, self._refused = refresh, refused
        self._inbox: deque[LinkEvent] = deque()
        self._answers: deque[tuple[str, Any]] = deque()
        self._sequence = 0
        self._said = b""
        self.connected = False
        self.told: dict[int, float] = {}
        self.confirmed: dict[int, float] = {}
        self.attempts = 0
        self.connection = self._new_connection()
        self.device.on_worker(WorkerUp(), self.times())

    def _new_connection(self) -> Connection:
        return Connection(self._enrolled.device, self._boot, mutual_context(self._folder, self._clock), self.attempts, self._inbox.append)

    def connect(self) -> None:
        """Connects, with a new client object as the real link does; the handshake is waited for.

        Raises:
            OSError: no connection.
        """
        self.connected = False
        self.attempts += 1
        self.connection = self._new_connection()
        self.connection.client.connect(self._enrolled.broker_host, self._enrolled.broker_port, KEEPALIVE_S)

    def times(self) -> Times:
        """Now."""
        return Times(steady=time.monotonic(), wall=self._clock.now())

    def work(self) -> None:
        """Handles what the link heard, and everything that follows from it."""
        while self._inbox:
            self._take(self._inbox.popleft())
        self._answer_all()
        self._report()

    def tick(self) -> None:
        """Time went on."""
        self.perform(self.device.tick(self.times()))
        self._answer_all()
        self._report()

    def perform(self, effects: list[DeviceEffect]) -> None:
        """Does effects, or answers them as hardware would."""
        for effect in effects:
            if isinstance(effect, RefreshMetadata):
                self._refresh()
            elif isinstance(effect, KeepAccepted):
                self._note_told()
            elif isinstance(effect, Tell):
                self._event(effect)
            else:
                self._simulate(effect)

    def goodbye(self) -> None:
        """Says that the device is offline, and disconnects."""
        if self.connected:
            self.connection.announce(online=False, at=self._clock.now())
        self.connection.client.disconnect()

    def _take(self, event: LinkEvent) -> None:
        if isinstance(event, Received) and event.channel is Channel.DESIRED and event.payload:
            self.perform(self.device.on_desired(event.payload, self.times()))
        elif isinstance(event, Connected):
            self.connected, self._said = True, b""
            self.connection.announce(online=True, at=self._clock.now())
        elif isinstance(event, Disconnected):
            self.connected = False
        else:
            assert isinstance(event, (Received, Acknowledged))

    def _note_told(self) -> None:
        accepted = self.device.accepted
        if accepted is not None:
            self.told.setdefault(accepted.generation, time.monotonic())

    def _simulate(self, effect: DeviceEffect) -> None:
        answer: SlotEvent | None = None
        slot = getattr(effect, "slot", "")
        if isinstance(effect, StartFetch):
            answer = self._refused(effect) or Fetched(job=effect.job, folder="simulated", runtime="simulated")
        elif isinstance(effect, StartProof):
            answer = Proved(job=effect.job, runtime=effect.runtime)
        elif isinstance(effect, OrderLoad):
            answer = CandidateLoaded(content=effect.held.content)
        elif isinstance(effect, OrderEmpty):
            answer = NowEmpty()
        elif isinstance(effect, OrderSwap):
            self._answers.append((slot, None))
        if answer is not None:
            self._answers.append((slot, answer))

    def _answer_all(self) -> None:
        while self._answers:
            slot, answer = self._answers.popleft()
            state = self.device.slots.get(slot)
            if answer is not None:
                self.perform(self.device.on_slot(slot, answer, self.times()))
            elif state is not None and state.worker.swapping is not None:
                self.perform(self.device.on_live(slot, state.worker.swapping, self.times()))

    def _event(self, tell: Tell) -> None:
        if not self.connected:
            return
        event = Event(
            device=self.device.facts.name,
            boot=self._boot,
            sequence=self._sequence,
            at=self._clock.now(),
            kind=tell.kind,
            text=tell.text,
            slot=tell.slot,
            failure=tell.failure,
        )
        self._sequence += 1
        self.connection.publish(Channel.EVENT, to_json(event))

    def _report(self) -> None:
        report = self.device.report(self._clock.now())
        said = to_json(replace(report, at=0.0))
        if said == self._said or not self.connected:
            return
        self._said = said
        self.connection.publish(Channel.REPORTED, to_json(report))
        if report.slots and all(slot.confirmed and slot.generation == report.generation for slot in report.slots.values()):
            self.confirmed.setdefault(report.generation, time.monotonic())
