"""Rollouts over a simulated fleet: whatever devices, operators and crashes do, the laws hold.

The reconciler, the ingest and the tables are the real ones; devices and broker are a few lines. Devices go offline, confirm,
fail, lie and stay silent; the controller is killed before and after commits and between publishing and forgetting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from small_fleet import NOW, SmallDevice, add_versions, device_row, drain_outbox, memory_engine, message, new_writer, opened
from sqlmodel import Session, select

from argosy.errors import Conflict
from argosy.protocol.codec import to_json
from argosy.protocol.desired import Gates
from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import Presence, ServingState, SlotReport
from argosy.topics import Channel
from argosy_controller.db.tables import DesiredRow, DesiredSlotRow, DeviceRow, RolloutDeviceRow, RolloutRow
from argosy_controller.fleet.desired import content_of_row
from argosy_controller.fleet.inbound import read
from argosy_controller.fleet.ingest import take_in
from argosy_controller.rollouts import commands
from argosy_controller.rollouts.facts import Evidence
from argosy_controller.rollouts.reconcile import reconcile

WRITER = new_writer()
DEVICES = [f"d{n}" for n in range(5)]
DEADLINE_S = 600.0
VERDICTS = [refusal for refusal in Refusal if refusal.about_artifact]
VERSIONS = 30
#: Selectors, and how many devices they match.
MATCHING = {"*": 5, "device in (d0,d1,d2)": 3, "device!=d0": 4}
names = st.sampled_from(DEVICES)
STAGES = st.sampled_from([(1.0,), (0.25, 1.0), (0.2, 0.6, 1.0)])
T = TypeVar("T")


class Fleet(RuleBasedStateMachine):
    """One controller, five devices."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = memory_engine()
        self.now = NOW
        self.listening_since = NOW - 1000
        self.devices = {name: SmallDevice(name) for name in DEVICES}
        self.broker: dict[str, bytes] = {}
        self.published: dict[str, int] = dict.fromkeys(DEVICES, 0)
        self.newest = 0
        self.resumed = 0
        #: The highest version that each device was told, and the devices that refused the way back from one: where they
        #: should be then, no rollout knows; they go on serving, and the difference stays visible.
        self.highest: dict[str, int] = {}
        self.cornered: set[str] = set()

    def teardown(self) -> None:
        self.come_to_rest()
        self.engine.dispose()

    @initialize(offline=st.sets(names, max_size=4), stages=STAGES, serving=st.booleans())
    def enrol(self, offline: set[str], stages: tuple[float, ...], serving: bool) -> None:
        """Most stories begin in the middle: a version serves, the next one is on its way."""
        self.commit(lambda session: session.add_all(device_row(name) for name in DEVICES))
        self.commit(lambda session: add_versions(session, range(1, VERSIONS + 1)))
        if serving:
            self.start((1.0,), "*")
            self.come_to_rest()
        for name in offline:
            self.set_online(name, False)
        self.start(stages, "*")
        self.carry_on()

    def commit(self, work: Callable[[Session], T]) -> T:
        with Session(self.engine) as session:
            result = work(session)
            session.commit()
        return result

    # The controller

    def look(self) -> bool:
        return self.commit(lambda session: reconcile(session, WRITER, Evidence(self.listening_since), self.now))

    @rule(after_s=st.sampled_from([0.0, 1.0, 50.0, DEADLINE_S]))
    def reconcile_until_at_rest(self, after_s: float) -> None:
        self.now += after_s
        for _ in range(20):
            if not self.look():
                break
        else:
            raise AssertionError("planning again after applying always gives something new")
        self.check_nobody_is_left_told_by_an_aborted_rollout()

    @rule()
    def look_once(self) -> None:
        self.look()

    @rule()
    def carry_on(self) -> None:
        """The common case, in one step, so that long stories are found: plan, publish, and nobody answers yet."""
        self.reconcile_until_at_rest(1.0)
        self.publish()

    @rule()
    def die_before_the_commit(self) -> None:
        with Session(self.engine) as session:
            reconcile(session, WRITER, Evidence(self.listening_since), self.now)
            session.rollback()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.listening_since = self.now
        with Session(self.engine) as session:
            for row in session.exec(select(DesiredRow)).all():
                self.deliver(row.device, row.envelope)

    @rule()
    def publish(self) -> None:
        for name, envelope in self.commit(drain_outbox).items():
            self.deliver(name, envelope)

    @rule()
    def publish_and_die_before_forgetting(self) -> None:
        with Session(self.engine) as session:
            for name, envelope in drain_outbox(session).items():
                self.deliver(name, envelope)
            session.rollback()

    def deliver(self, name: str, envelope: bytes) -> None:
        generation = opened(envelope).generation
        assert generation >= self.published[name], "an older document was published after a newer one"
        self.published[name] = generation
        self.broker[name] = envelope
        if self.devices[name].online:
            self.take(name)

    def take(self, name: str) -> None:
        document = opened(self.broker[name])
        self.devices[name].accept(document)
        told = [wanted.version for wanted in document.slots.values()]
        self.highest[name] = max([self.highest.get(name, 0), *told])

    # Operators

    @rule(
        stages=st.sampled_from([(1.0,), (0.25, 1.0), (0.2, 0.6, 1.0)]),
        selector=st.sampled_from(["*", "device in (d0,d1,d2)", "device!=d0"]),
    )
    def start(self, stages: tuple[float, ...], selector: str) -> None:
        if self.newest == VERSIONS:
            return
        try:
            args = ("digits", self.newest + 1, None, selector, stages, Gates(), DEADLINE_S, "me", self.now)
            self.commit(lambda session: commands.start_rollout(session, *args))
        except Conflict:
            return
        self.newest += 1

    @precondition(lambda self: self.newest > 0)
    @rule(command=st.sampled_from([commands.pause, commands.resume, commands.resume, commands.abort]))
    def interfere(self, command: Callable[[Session, int, str, float], None]) -> None:
        with Session(self.engine) as session:
            newest = session.exec(select(RolloutRow.id).order_by(RolloutRow.id.desc())).first()  # type: ignore[union-attr]
        if newest is not None:
            try:
                self.commit(lambda session: command(session, newest, "me", self.now))
                self.resumed += command is commands.resume
            except Conflict:
                return

    # Devices

    @rule(name=names)
    def vanish(self, name: str) -> None:
        self.set_online(name, False)

    @rule(name=names)
    def appear(self, name: str) -> None:
        self.set_online(name, True)
        if name in self.broker:
            self.take(name)
        self.report(name)

    def set_online(self, name: str, online: bool) -> None:
        self.devices[name].online = online
        self.hear(name, Channel.PRESENCE, to_json(Presence(device=name, online=online, boot="b0", at=self.now)))

    @rule(name=names)
    def confirm(self, name: str) -> None:
        self.devices[name].confirm()
        self.report(name)

    @rule()
    def confirm_all(self) -> None:
        for name in DEVICES:
            self.confirm(name)

    @rule(refusal=st.sampled_from(VERDICTS))
    def fail_wherever_it_is_tried(self, refusal: Refusal) -> None:
        for name in DEVICES:
            self.fail(name, refusal)

    @rule(name=names, refusal=st.sampled_from(VERDICTS))
    def fail(self, name: str, refusal: Refusal) -> None:
        device = self.devices[name]
        wanted = device.pending.get("digits")
        if wanted is not None and wanted.version < self.highest.get(name, 0):
            self.cornered.add(name)
        device.fail(refusal=refusal)
        self.report(name)

    @rule(name=names)
    def answer_without_telling(self, name: str) -> None:
        self.devices[name].confirm()

    @rule(name=names)
    def report(self, name: str) -> None:
        if self.devices[name].online:
            self.hear(name, Channel.REPORTED, self.devices[name].report())

    @rule(name=names)
    def lie(self, name: str) -> None:
        """Claims to serve the newest wish, with other bytes."""
        device = self.devices[name]
        if device.online and (wanted := device.pending.get("digits")):
            false = msgspec.structs.replace(wanted, sha256="0" * 64)
            story = SlotReport(state=ServingState.SERVING, content=false, confirmed=True, generation=device.generation)
            honest, device.slots = device.slots, {"digits": story}
            self.report(name)
            device.slots = honest

    @rule(name=names)
    def cannot_download(self, name: str) -> None:
        device = self.devices[name]
        wanted = device.pending.get("digits")
        device.fail(refusal=Refusal.DOWNLOAD_FAILED)
        if wanted is not None:
            device.pending["digits"] = wanted
        self.report(name)

    @precondition(lambda self: self.now > NOW)
    @rule(name=names)
    def send_rubbish(self, name: str) -> None:
        self.hear(name, Channel.REPORTED, b'{"device": "%b"' % name.encode())

    def hear(self, name: str, channel: Channel, payload: bytes) -> None:
        fact = read(message(name, channel, payload, self.now))
        self.commit(lambda session: take_in(session, [fact], WRITER, self.now))

    # Laws

    @invariant()
    def only_devices_of_started_stages_ever_got_the_version(self) -> None:
        with Session(self.engine) as session:
            rollouts = {row.version: row for row in session.exec(select(RolloutRow))}
            parts = {(part.rollout, part.device): part for part in session.exec(select(RolloutDeviceRow))}
        for name, envelope in self.broker.items():
            for wanted in opened(envelope).slots.values():
                row = rollouts[wanted.version]
                part = parts[row.id or 0, name]
                assert part.state != "excluded" and part.stage <= row.stage

    @invariant()
    def a_stage_reaches_its_share_and_no_more(self) -> None:
        """But for one more at each time when none of its devices could answer."""
        with Session(self.engine) as session:
            parts = session.exec(select(RolloutDeviceRow).where(RolloutDeviceRow.state != "excluded")).all()
            rollouts = session.exec(select(RolloutRow)).all()
        for row in rollouts:
            told = sum(part.rollout == row.id for part in parts)
            share = max(1, int(row.stages[row.stage] * MATCHING[row.selector] + 1e-9))
            assert told <= share + 1 + row.stage + self.resumed

    @invariant()
    def a_document_says_what_the_tables_say(self) -> None:
        with Session(self.engine) as session:
            documents = {row.device: opened(row.envelope) for row in session.exec(select(DesiredRow))}
            wanted = {row.device: content_of_row(row) for row in session.exec(select(DesiredSlotRow))}
            generations = {row.name: row.generation for row in session.exec(select(DeviceRow))}
        assert {name: document.slots["digits"] for name, document in documents.items() if document.slots} == wanted
        assert all(document.generation == generations[name] for name, document in documents.items())

    def check_nobody_is_left_told_by_an_aborted_rollout(self) -> None:
        with Session(self.engine) as session:
            aborted = select(RolloutRow.id).where(RolloutRow.state == "aborted")
            parts = session.exec(select(RolloutDeviceRow).where(RolloutDeviceRow.rollout.in_(aborted))).all()  # type: ignore[attr-defined]
            assert not [part for part in parts if part.state == "told"]
            for part in parts:
                held = session.get(DesiredSlotRow, (part.device, "digits"))
                assert part.state in ("confirmed", "excluded") or held is None or held.rollout != part.rollout

    def come_to_rest(self) -> None:
        """Every device that is online answers truthfully; then what is desired is what serves."""
        for _ in range(30):
            self.reconcile_until_at_rest(0.0)
            before = dict(self.published)
            self.publish()
            self.confirm_all()
            if self.published == before:
                break
        with Session(self.engine) as session:
            held = {row.device: content_of_row(row) for row in session.exec(select(DesiredSlotRow))}
        for device in self.devices.values():
            if device.online and device.name not in self.cornered:
                assert device.serving() == held.get(device.name)


def test_rollouts_keep_their_laws() -> None:
    run_state_machine_as_test(Fleet, settings=settings(max_examples=40, stateful_step_count=30))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rollouts_keep_their_laws_for_long() -> None:
    run_state_machine_as_test(Fleet, settings=settings(max_examples=2000, stateful_step_count=80))
