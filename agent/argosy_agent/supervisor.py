"""The supervisor: wires the parts, and one loop that owns all state. It imports no numpy and no model runtime.

Every other thread only puts an event into the bounded inbox. The loop takes one event after the other, asks the device
(argosy_agent.device) what follows from it, and has that done.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from argosy.errors import ArgosyError, Conflict, InvalidInput
from argosy.protocol.codec import from_json, to_json, to_msgpack
from argosy.protocol.desired import Desired
from argosy.protocol.reported import Event, Reported
from argosy.protocol.telemetry import Resources
from argosy.topics import MAX_PACKET_BYTES, Channel
from argosy_agent import messages
from argosy_agent.capabilities import capabilities_of
from argosy_agent.clock import Clock
from argosy_agent.device import Device, DeviceEffect, Facts, KeepAccepted, RefreshMetadata, Times
from argosy_agent.errands import Errands
from argosy_agent.events import Answered, Gone, Happened, MetadataFailed, MetadataVerified, Polled, Progressed, Renewed
from argosy_agent.folder import StateFolder, locked, write_atomically
from argosy_agent.identity import Identity, load_identity
from argosy_agent.link import Acknowledged, Connected, Disconnected, Link, Received
from argosy_agent.notify import Notifier
from argosy_agent.servant import Servant
from argosy_agent.settings import Settings
from argosy_agent.spool import Spool
from argosy_agent.status import save_status, status_of
from argosy_agent.telemetry import cpu_seconds, dropped_counts, memory_bytes
from argosy_agent.timers import Every
from argosy_agent.updater.record import follow, forget_slot, load_slots, save_slot
from argosy_agent.updater.state import (
    Abandon,
    CandidateLoaded,
    Follow,
    Forget,
    LoadRefused,
    NowEmpty,
    OrderDiscard,
    OrderEmpty,
    OrderLoad,
    OrderSwap,
    Persist,
    StartFetch,
    StartProof,
    Tell,
    Tidy,
    WorkerDied,
    WorkerUp,
)

_log = logging.getLogger(__name__)

_INBOX = 1024
_PASS_S = 0.25
_IN_FLIGHT = 20
_RENEW_CHECK_S = 600.0
_REFRESH_S = 86400.0
_LONGEST_RESTART_S = 30.0
_QUIET_S = 60.0
_STOP_S = 4.5
_WORKER_STOP_S = 2.8


def run_agent(folder: StateFolder, settings: Settings, stopping: Callable[[], bool]) -> None:
    """Runs the agent until `stopping` says so; looked at a few times a second.

    Raises:
        NotFound: no device is enrolled in the folder.
        Conflict: another agent runs on it, or the endpoint's port is taken.
    """
    identity = load_identity(folder)
    folder.create()
    with locked(folder):
        Supervisor(identity, folder, settings).run(stopping)


class Supervisor:
    """Built and run by one thread."""

    def __init__(self, identity: Identity, folder: StateFolder, settings: Settings) -> None:
        self._identity, self._folder, self._settings = identity, folder, settings
        self._inbox: queue.Queue[Any] = queue.Queue(_INBOX)
        self._clock = Clock(folder.floor)
        self._wall_began, self._steady_began = self._clock.now(), time.monotonic()
        boot = secrets.token_hex(8)
        facts = Facts(identity.device, identity.enrolled.repository, boot, capabilities_of(settings), settings.spread_s)
        self._device = Device(facts, recall(folder), load_slots(folder))
        self._errands = Errands(identity, folder, self._clock, settings, facts.capabilities, self._give)
        self._spool = Spool(folder.spool, settings.spool_files)
        self._link = Link(folder, self._clock, boot, self._give)
        self._notify = Notifier(os.environ)
        self._servant: Servant | None = None
        self._endpoint = settings.endpoint
        self._url = ""
        self._deaths: list[float] = []
        self._start_at = 0.0
        self._session = 0  # of the live connection, 0 for none
        self._sequence = 0
        self._cpu_before = 0.0
        self._told: tuple[bytes, bool, str] | None = None
        self._unsaved: dict[str, Persist] = {}

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self, stopping: Callable[[], bool]) -> None:
        """Runs to the end, and cleans up whatever happens."""
        try:
            self._begin()
            timers = self._timers()
            while not stopping():
                self._take(_PASS_S)
                for timer in timers:
                    timer.turn(time.monotonic())
                self._tell_changes()
                self._notify.watchdog()
        finally:
            self._end()

    def _begin(self) -> None:
        self._start_worker()
        self._perform(self._device.start(self._times()))
        self._perform(self._device.refresh())
        self._link.start()
        self._event("started", f"agent started, boot {self._device.facts.boot}")

    def _timers(self) -> list[Every]:
        settings = self._settings
        return [
            Every(0.25, lambda: self._perform(self._device.tick(self._times()))),
            Every(1.0, self._collect),
            Every(1.0, self._save_again),
            Every(0.25, self._restart_worker),
            Every(0.25, self._send_spooled),
            Every(settings.telemetry_interval_s, self._close_windows, at_once=False),
            Every(settings.poll_interval_s, self._errands.poll_desired),
            Every(_RENEW_CHECK_S, self._errands.renew_if_due),
            Every(_REFRESH_S, lambda: self._perform(self._device.refresh()), at_once=False),
        ]

    def _give(self, event: Any) -> None:
        """Puts an event into the inbox; waits while it is full, which slows the sender down and loses nothing."""
        self._inbox.put(event)

    def _take(self, timeout_s: float) -> None:
        """Handles what waits; at least one event or `timeout_s` seconds."""
        try:
            event = self._inbox.get(timeout=timeout_s)
            for _ in range(100):
                self._handle(event)
                event = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _handle(self, event: Any) -> None:
        _HANDLERS[type(event)](self, event)

    def _times(self) -> Times:
        return Times(steady=self._wall_began + time.monotonic() - self._steady_began, wall=self._clock.now())

    # --- events ------------------------------------------------------------------------------------------------------

    def _on_received(self, event: Received) -> None:
        if event.channel is Channel.DESIRED and event.payload:
            self._perform(self._device.on_desired(event.payload, self._times()))

    def _on_polled(self, event: Polled) -> None:
        self._perform(self._device.on_desired(event.raw, self._times()))

    def _on_metadata(self, event: MetadataVerified) -> None:
        self._perform(self._device.on_metadata(event.trusted, self._times()))

    def _on_metadata_failed(self, event: MetadataFailed) -> None:
        _log.warning("%s", event.text)
        self._perform(self._device.on_metadata_failed(event.refusal, event.text, event.retry_after_s, self._times()))

    def _on_happened(self, event: Happened) -> None:
        self._perform(self._device.on_slot(event.slot, event.event, self._times()))

    def _on_progressed(self, event: Progressed) -> None:
        self._device.on_progress(event.slot, event.done, event.total)

    def _on_answered(self, event: Answered) -> None:
        answer, times, device = event.answer, self._times(), self._device
        if isinstance(answer, messages.Collected):
            device.on_counts(answer.counts)
        elif isinstance(answer, messages.Ready):
            self._on_ready(answer)
        elif isinstance(answer, messages.NotReady):
            self._on_not_ready(answer)
        elif isinstance(answer, messages.Swapped):
            self._perform(device.on_live(answer.slot, answer.content, times))
        elif isinstance(answer, messages.Loaded):
            self._perform(device.on_slot(answer.slot, CandidateLoaded(content=answer.content), times))
        elif isinstance(answer, messages.LoadFailed):
            self._perform(device.on_slot(answer.slot, LoadRefused(content=answer.content, text=answer.text), times))
        elif isinstance(answer, messages.Emptied):
            self._perform(device.on_slot(answer.slot, NowEmpty(), times))

    def _on_connected(self, event: Connected) -> None:
        _log.info("connected to the broker")
        self._session = event.session
        self._spool.again()
        self._told = None
        connection = self._link.connection
        if connection:
            connection.announce(online=True, at=self._clock.now())

    def _on_disconnected(self, event: Disconnected) -> None:
        _log.info("not connected to the broker: %s", event.text)
        self._session = 0
        self._spool.again()

    def _on_acknowledged(self, event: Acknowledged) -> None:
        if event.session == self._session:
            self._spool.done(event.tag)

    def _on_renewed(self, event: Renewed) -> None:
        _log.info("the certificate is renewed")
        self._link.reconnect()

    # --- the worker --------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        settings = self._settings
        self._servant = Servant(
            settings.python, self._endpoint, str(self._folder.root), lambda answer: self._give(Answered(answer)),
            lambda servant, text: self._give(Gone(servant, text)),
        )  # fmt: skip

    def _on_ready(self, ready: messages.Ready) -> None:
        self._url = ready.endpoint
        self._endpoint = ready.endpoint.partition("://")[2]  # a restarted worker listens where its users look for it
        self._perform(self._device.on_worker(WorkerUp(), self._times()))
        self._notify.ready()

    def _on_not_ready(self, answer: messages.NotReady) -> None:
        if not self._url:  # never yet: the user's mistake, to be said at once
            raise Conflict(answer.text)
        _log.warning("%s", answer.text)

    def _on_gone(self, event: Gone) -> None:
        if event.servant is not self._servant:
            return
        self._servant = None
        now = time.monotonic()
        self._deaths = [*(at for at in self._deaths if now - at < _QUIET_S), now]
        self._start_at = now + min(0.1 * 2.0 ** (len(self._deaths) - 1), _LONGEST_RESTART_S)
        event_text = f"{event.text}; it is started again"
        self._event("worker-died", event_text)
        self._perform(self._device.on_worker(WorkerDied(text=event.text), self._times()))

    def _restart_worker(self) -> None:
        if self._servant is None and time.monotonic() >= self._start_at:
            try:
                self._start_worker()
            except OSError as error:
                _log.warning("the serving worker could not be started: %s", error)
                self._start_at = time.monotonic() + _LONGEST_RESTART_S

    def _order(self, order: messages.Order) -> None:
        if self._servant:
            self._servant.send(order)

    # --- telemetry and reports ---------------------------------------------------------------------------------------

    def _collect(self) -> None:
        self._order(messages.Collect())
        self._device.on_counts(dropped_counts(self._folder.dropped_counts))

    def _close_windows(self) -> None:
        for window in self._device.telemetry.close(self._resources()):
            self._spool_message(Channel.TELEMETRY, to_msgpack(window))

    def _resources(self) -> Resources:
        pids = [os.getpid(), *([self._servant.pid] if self._servant else [])]
        used = cpu_seconds(pids)
        spent, self._cpu_before = max(0.0, used - self._cpu_before), used
        return Resources(memory_bytes=memory_bytes(pids), cpu_s=spent)

    def _event(self, kind: str, text: str, tell: Tell | None = None) -> None:
        facts = self._device.facts
        event = Event(
            device=facts.name, boot=facts.boot, sequence=self._sequence, at=self._clock.now(), kind=kind, text=text,
            slot=tell.slot if tell else "", failure=tell.failure if tell else None,
        )  # fmt: skip
        self._sequence += 1
        _log.log(logging.WARNING if event.failure else logging.INFO, "%s%s", f"{event.slot}: " if event.slot else "", text)
        self._spool_message(Channel.EVENT, to_json(event))

    def _spool_message(self, channel: Channel, payload: bytes) -> None:
        try:
            self._spool.add(channel, payload)
        except OSError as error:
            _log.error("the spool cannot be written, a message for channel %s is lost: %s", channel.value, error)

    def _send_spooled(self) -> None:
        connection = self._link.connection
        if not self._session or connection is None or connection.session != self._session:
            return
        for spooled in self._spool.take(_IN_FLIGHT - self._spool.in_flight):
            payload = spooled.read()
            if payload is None or len(payload) > MAX_PACKET_BYTES // 2:
                self._spool.done(spooled)
            elif not connection.publish(spooled.channel, payload, tag=spooled):
                self._spool.give_back(spooled)

    def _tell_changes(self) -> None:
        """Reported state is level: whenever it, the connection or the endpoint changed, all of it is said again."""
        reported = self._device.report(self._clock.now())
        now = (to_json(replace(reported, at=0.0)), bool(self._session), self._url)
        if now == self._told:
            return
        self._told = now
        connection = self._link.connection
        if self._session and connection and connection.session == self._session:
            connection.publish(Channel.REPORTED, to_json(reported))
        self._save_status(reported)

    def _save_status(self, reported: Reported) -> None:
        try:
            save_status(self._folder, status_of(reported, self._url, bool(self._session), os.getpid()))
        except OSError as error:
            _log.error("the status file cannot be written: %s", error)

    # --- effects -----------------------------------------------------------------------------------------------------

    def _perform(self, effects: list[DeviceEffect]) -> None:
        for effect in effects:
            _PERFORMERS[type(effect)](self, effect)

    def _persist(self, effect: Persist) -> None:
        """On a full disk the agent goes on, and tries again: from the older record every phase continues as well."""
        try:
            save_slot(self._folder, effect.state)
            self._unsaved.pop(effect.state.slot, None)
        except OSError as error:
            if effect.state.slot not in self._unsaved:
                _log.error("the record of slot %s cannot be written, to be tried again: %s", effect.state.slot, error)
            self._unsaved[effect.state.slot] = effect

    def _save_again(self) -> None:
        for effect in list(self._unsaved.values()):
            self._persist(effect)

    def _keep_accepted(self, effect: KeepAccepted) -> None:
        try:
            write_atomically(self._folder.accepted, effect.raw)
            self._clock.raise_to(effect.issued)
        except OSError as error:
            _log.error("the accepted document cannot be kept: %s", error)

    def _load(self, effect: OrderLoad) -> None:
        held = effect.held
        where = str(self._folder.variants.resolve() / held.folder)
        self._order(messages.Load(slot=effect.slot, folder=where, content=held.content, runtime=held.runtime))

    def _follow(self, effect: Follow) -> None:
        try:
            follow(self._folder, effect.slot, effect.held)
        except OSError as error:
            _log.error("in-process users of slot %s cannot be told of a change: %s", effect.slot, error)

    def _forget(self, effect: Forget) -> None:
        self._unsaved.pop(effect.slot, None)
        forget_slot(self._folder, effect.slot)

    def _tidy(self, effect: Tidy) -> None:
        self._errands.tidy(self._device.needed(), partials=not self._device.is_updating())

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Ends in good order within five seconds: every request counted, the spool on disk, presence offline."""
        deadline = time.monotonic() + _STOP_S
        self._notify.stopping()
        if self._servant:
            servant, self._servant = self._servant, None
            servant.stop(_WORKER_STOP_S)
        self._drain()
        self._device.on_counts(dropped_counts(self._folder.dropped_counts))
        self._close_windows()
        self._say_goodbye(deadline)
        self._link.stop(max(0.1, deadline - time.monotonic()))
        self._errands.stop(max(0.1, deadline - time.monotonic()))
        self._session = 0
        self._save_status(self._device.report(self._clock.now()))

    def _drain(self) -> None:
        """Takes the worker's last counts; nothing else is begun any more."""
        while True:
            try:
                event = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, Answered) and isinstance(event.answer, messages.Collected):
                self._device.on_counts(event.answer.counts)
            elif isinstance(event, Acknowledged):
                self._on_acknowledged(event)

    def _say_goodbye(self, deadline: float) -> None:
        connection = self._link.connection
        if not self._session or connection is None:
            return
        self._send_spooled()
        connection.announce(online=False, at=self._clock.now())
        while len(self._spool) and self._link.connection is connection and time.monotonic() < deadline - 0.7:
            self._send_spooled()
            time.sleep(0.02)
            self._drain()


def recall(folder: StateFolder) -> tuple[Desired, bytes] | None:
    """The accepted document as it was kept: what was verified before it was written is not verified again."""
    try:
        raw = folder.accepted.read_bytes()
        payload = msgspec.json.decode(raw, type=_Envelope).payload
        return from_json(Desired, payload), raw
    except (OSError, msgspec.DecodeError, InvalidInput, ArgosyError):
        return None


class _Envelope(msgspec.Struct):
    payload: bytes  # base64 in JSON


_HANDLERS: dict[type, Callable[[Supervisor, Any], None]] = {
    Received: Supervisor._on_received,
    Polled: Supervisor._on_polled,
    MetadataVerified: Supervisor._on_metadata,
    MetadataFailed: Supervisor._on_metadata_failed,
    Happened: Supervisor._on_happened,
    Progressed: Supervisor._on_progressed,
    Answered: Supervisor._on_answered,
    Gone: Supervisor._on_gone,
    Connected: Supervisor._on_connected,
    Disconnected: Supervisor._on_disconnected,
    Acknowledged: Supervisor._on_acknowledged,
    Renewed: Supervisor._on_renewed,
}

_PERFORMERS: dict[type, Callable[[Supervisor, Any], None]] = {
    Persist: Supervisor._persist,
    KeepAccepted: Supervisor._keep_accepted,
    RefreshMetadata: lambda own, effect: own._errands.refresh_metadata(),
    StartFetch: lambda own, effect: own._errands.fetch(effect),
    StartProof: lambda own, effect: own._errands.prove(effect),
    Abandon: lambda own, effect: own._errands.abandon(effect.slot, effect.job),
    OrderLoad: Supervisor._load,
    OrderSwap: lambda own, effect: own._order(messages.Swap(slot=effect.slot)),
    OrderDiscard: lambda own, effect: own._order(messages.Discard(slot=effect.slot)),
    OrderEmpty: lambda own, effect: own._order(messages.Empty(slot=effect.slot)),
    Follow: Supervisor._follow,
    Tell: lambda own, effect: own._event(effect.kind, effect.text, effect),
    Tidy: Supervisor._tidy,
    Forget: Supervisor._forget,
}
