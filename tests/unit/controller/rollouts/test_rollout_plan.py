"""The plan: two states in, the whole list of actions out."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from small_fleet import COREML, NOW, ONNX, card, content, failure

from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import ServingState, SlotReport
from argosy_controller.rollouts.actions import (
    Abort,
    Action,
    Advance,
    Confirm,
    Exclude,
    Expect,
    Finish,
    Lost,
    Pause,
    TakeBack,
    Tell,
    Wait,
    WentBack,
)
from argosy_controller.rollouts.facts import Device, Evidence, Held, Part, PartState, Rollout, State
from argosy_controller.rollouts.plan import HEARING_S, plan

DEADLINE_S = 600.0
OLD, NEW = Held(content(1), 1), Held(content(2), 2)


def rollout(*parts: Part, stages: tuple[float, ...] = (1.0,), stage: int = 0, state: State = State.RUNNING) -> Rollout:
    cards = (card(2, "onnx-fp32"),)
    return Rollout(2, "digits", 2, "digits", stages, cards, DEADLINE_S, stage, state, parts={part.device: part for part in parts})


def idle(name: str, **facts: object) -> Device:
    """On version 1, not told anything by this rollout."""
    known = Device(name, online=True, capabilities=ONNX, report=serves(1), reported_generation=3, desired=OLD)
    return replace(known, **facts)  # type: ignore[arg-type]


def asked(name: str, **facts: object) -> Device:
    """Its slot holds this rollout's wish; it still serves version 1."""
    return idle(name, **{"desired": NEW, **facts})


def done(name: str, **facts: object) -> Device:
    """It serves what this rollout told it."""
    return asked(name, **{"report": serves(2), "reported_generation": 4, **facts})


def serves(version: int, **facts: object) -> SlotReport:
    report = SlotReport(state=ServingState.SERVING, content=content(version), confirmed=True, generation=version)
    return msgspec.structs.replace(report, **facts)


def told(name: str, stage: int = 0, deadline: float | None = NOW + DEADLINE_S, state: PartState = PartState.TOLD) -> Part:
    return Part(name, stage, state, content(2), 4, deadline, OLD)


def look(subject: Rollout, *devices: Device, now: float = NOW, evidence: Evidence | None = None) -> list[Action]:
    return plan(subject, {device.name: device for device in devices}, evidence or Evidence(), now)


def test_tells_everyone_when_there_is_one_stage() -> None:
    actions = look(rollout(), idle("a"), idle("b"))
    assert sorted(action.device for action in actions if isinstance(action, Tell)) == ["a", "b"]
    assert {action.deadline for action in actions if isinstance(action, Tell)} == {NOW + DEADLINE_S}
    assert all(isinstance(action, Tell) and action.previous == OLD and action.content == content(2) for action in actions)


@pytest.mark.parametrize(("share", "fleet", "reached"), [(0.25, 4, 1), (0.01, 4, 1), (0.5, 5, 2), (0.29, 100, 29), (0.99, 3, 2)])
def test_a_stage_reaches_its_share_rounded_down_and_at_least_one(share: float, fleet: int, reached: int) -> None:
    actions = look(rollout(stages=(share, 1.0)), *(idle(f"d{n}") for n in range(fleet)))
    assert len(actions) == reached


def test_a_stage_prefers_devices_that_are_online() -> None:
    devices = [idle(f"d{n}", online=n == 7) for n in range(20)]
    assert [action.device for action in look(rollout(stages=(0.05, 1.0)), *devices) if isinstance(action, Tell)] == ["d7"]


def test_order_within_a_stage_is_the_same_every_time_and_differs_between_rollouts() -> None:
    devices = [idle(f"d{n}") for n in range(20)]
    one, other = rollout(stages=(0.3, 1.0)), replace(rollout(stages=(0.3, 1.0)), id=3)
    assert look(one, *devices) == look(one, *reversed(devices))
    assert look(one, *devices) != look(other, *devices)


def test_an_offline_device_is_told_and_its_clock_does_not_run() -> None:
    (action,) = look(rollout(), idle("a", online=False))
    assert isinstance(action, Tell) and action.deadline is None


def test_the_clock_of_a_told_device_starts_when_it_is_seen() -> None:
    assert look(rollout(told("a", deadline=None)), asked("a"))[0] == Expect("a", NOW + DEADLINE_S)


def test_confirms_what_serves_and_finishes_when_every_online_device_has() -> None:
    actions = look(rollout(told("a"), told("b", deadline=None)), done("a"), asked("b", online=False))
    assert actions == [Confirm("a"), Finish("1 of 2 devices confirmed; 1 will follow when online")]


def test_the_last_stage_does_not_wait_for_a_device_that_vanished() -> None:
    actions = look(rollout(told("a"), told("b")), done("a"), asked("b", online=False))
    assert actions == [Confirm("a"), Finish("1 of 2 devices confirmed; 1 will follow when online")]


def test_an_earlier_stage_waits_until_the_deadline_of_a_device_that_vanished_in_mid_update() -> None:
    subject = rollout(told("a", state=PartState.CONFIRMED), told("b"), stages=(0.5, 1.0))
    devices = (done("a"), asked("b", online=False), idle("c"), idle("d"))
    assert look(subject, *devices) == [Wait("stage 1 of 2: 1 of 2 devices have not confirmed yet")]
    later = look(subject, *devices, now=NOW + DEADLINE_S)
    assert [type(action) for action in later] == [Lost, Advance]


def test_an_offline_device_that_was_never_seen_does_not_hold_its_stage() -> None:
    subject = rollout(told("a", state=PartState.CONFIRMED), told("b", deadline=None), stages=(0.5, 1.0))
    actions = look(subject, done("a"), asked("b", online=False), idle("c"), idle("d"))
    assert [type(action) for action in actions] == [Advance]


def test_a_stage_without_any_answer_never_opens_the_next_one() -> None:
    subject = rollout(told("a", deadline=None), stages=(0.25, 1.0))
    offline = [idle(name, online=False) for name in "bcd"]
    assert look(subject, asked("a", online=False), *offline) == [Wait("stage 1 of 2: none of its devices is online")]


def test_a_stage_whose_devices_are_all_offline_asks_one_that_can_answer() -> None:
    subject = rollout(told("a", deadline=None), stages=(0.25, 1.0))
    actions = look(subject, asked("a", online=False), idle("b"), idle("c"), idle("d", online=False))
    assert len(actions) == 1 and isinstance(actions[0], Tell) and actions[0].device in "bc" and actions[0].stage == 0


def test_nobody_is_told_of_a_stage_that_has_not_started() -> None:
    subject = rollout(told("a"), stages=(0.25, 1.0))
    assert look(subject, asked("a"), *(idle(name) for name in "bcd")) == [Wait("stage 1 of 2: 1 of 1 devices have not confirmed yet")]


def test_a_verdict_aborts_and_takes_back_whoever_has_not_confirmed() -> None:
    subject = rollout(told("a"), told("b"), told("c", state=PartState.CONFIRMED), told("d", state=PartState.LOST))
    verdict = failure(4)
    actions = look(subject, asked("a", report=serves(1, failure=verdict)), asked("b"), done("c"), asked("d"))
    assert actions[:2] == [WentBack("a", verdict), Abort("a went back from digits@2 in stage 1 of 1")]
    assert [(type(action), action.device) for action in actions[2:]] == [(TakeBack, "a"), (TakeBack, "b"), (TakeBack, "d")]  # type: ignore[union-attr]
    assert all(action.previous == OLD for action in actions[2:] if isinstance(action, TakeBack))


@pytest.mark.parametrize("refusal", list(Refusal))
def test_only_a_verdict_about_the_artifact_counts(refusal: Refusal) -> None:
    actions = look(rollout(told("a")), asked("a", report=serves(1, failure=failure(4, refusal=refusal))))
    assert isinstance(actions[0], WentBack if refusal.about_artifact else Wait)


def test_a_code_that_only_a_newer_agent_knows_stops_the_rollout() -> None:
    unknown = msgspec.structs.replace(failure(4), code="smells-odd")
    assert isinstance(look(rollout(told("a")), asked("a", report=serves(1, failure=unknown)))[0], WentBack)


@pytest.mark.parametrize("old", [failure(3), failure(4, version=1)], ids=["before it was told", "of another version"])
def test_old_verdicts_are_not_taken_for_new_ones(old: object) -> None:
    assert look(rollout(told("a")), asked("a", report=serves(1, failure=old))) == [
        Wait("stage 1 of 1: 1 of 1 devices have not confirmed yet")
    ]


LIES = {
    "another file": {"report": serves(2, content=msgspec.structs.replace(content(2), sha256="0" * 64))},
    "another variant": {"report": serves(2, content=content(2, "onnx-int8"))},
    "not confirmed": {"report": serves(2, confirmed=False)},
    "not serving": {"report": serves(2, state=ServingState.STARTING)},
    "older generation": {"reported_generation": 3},
    "no report": {"report": None},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_trusts_hashes_not_stories(lie: dict[str, object]) -> None:
    assert look(rollout(told("a")), done("a", **lie)) == [Wait("stage 1 of 1: 1 of 1 devices have not confirmed yet")]


def test_silence_past_the_deadline_is_a_loss_and_more_than_half_of_a_stage_pauses() -> None:
    subject = rollout(told("a"), told("b", state=PartState.CONFIRMED), told("c"), stages=(0.5, 1.0))
    actions = look(subject, asked("a"), done("b"), asked("c"), *(idle(name) for name in "def"), now=NOW + DEADLINE_S)
    assert [type(action) for action in actions] == [Lost, Lost, Pause]


def test_half_of_a_stage_lost_frees_its_places() -> None:
    subject = rollout(told("a", state=PartState.LOST), told("b", state=PartState.CONFIRMED), stages=(0.5, 1.0))
    actions = look(subject, asked("a"), done("b"), idle("c"), idle("d"))
    assert [type(action) for action in actions] == [Advance]


@pytest.mark.parametrize("since", [None, NOW + DEADLINE_S - HEARING_S + 1], ids=["not connected", "just connected"])
def test_nobody_is_lost_while_the_controller_itself_was_deaf(since: float | None) -> None:
    actions = look(rollout(told("a")), asked("a"), now=NOW + DEADLINE_S, evidence=Evidence(since))
    assert [type(action) for action in actions] == [Wait]


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.FINISHED])
def test_late_truth_of_a_lost_device_is_heard(state: State) -> None:
    subject = rollout(told("a", state=PartState.LOST), told("b", state=PartState.CONFIRMED), state=state)
    assert look(subject, done("a"), done("b"))[0] == Confirm("a")


def test_a_paused_rollout_listens_and_tells_nobody() -> None:
    subject = rollout(told("a"), stages=(0.25, 1.0), state=State.PAUSED)
    assert look(subject, done("a"), *(idle(name) for name in "bcd")) == [Confirm("a")]


def test_a_verdict_aborts_also_while_paused() -> None:
    actions = look(rollout(told("a"), state=State.PAUSED), asked("a", report=serves(1, failure=failure(4))))
    assert [type(action) for action in actions] == [WentBack, Abort, TakeBack]


def test_after_an_abort_everyone_not_confirmed_is_taken_back_once() -> None:
    subject = rollout(told("a"), told("b", state=PartState.CONFIRMED), told("c", state=PartState.WENT_BACK), state=State.ABORTED)
    actions = look(subject, asked("a"), done("b"), idle("c"))
    assert actions == [TakeBack("a", OLD, "digits@2 was not confirmed here")]


def test_an_abort_first_hears_who_has_confirmed_meanwhile() -> None:
    actions = look(rollout(told("a"), told("b"), state=State.ABORTED), done("a"), asked("b"))
    assert actions == [Confirm("a"), TakeBack("b", OLD, "digits@2 was not confirmed here")]


def test_a_failure_after_the_finish_concerns_that_device_only() -> None:
    subject = rollout(told("a"), told("b", deadline=None), state=State.FINISHED)
    actions = look(subject, asked("a", report=serves(1, failure=failure(4))), asked("b", online=False))
    assert [type(action) for action in actions] == [WentBack, TakeBack]


def test_a_device_without_a_runnable_variant_is_excluded_with_the_reason() -> None:
    actions = look(rollout(), idle("a"), idle("phone", capabilities=COREML))
    assert [type(action) for action in actions] == [Exclude, Tell]
    assert actions[0] == Exclude("phone", 0, NONE_FOR_COREML)


def test_an_excluded_device_counts_again_once_it_can_run_a_variant() -> None:
    excluded = Part("a", 0, PartState.EXCLUDED)
    assert isinstance(look(rollout(excluded), idle("a"))[0], Tell)


NONE_FOR_COREML = "no runnable variant: onnx-fp32 (no runtime for onnx on the device)"


def test_pauses_when_no_selected_device_can_run_any_variant() -> None:
    actions = look(rollout(Part("a", 0, PartState.EXCLUDED, reason=NONE_FOR_COREML)), idle("a", capabilities=COREML))
    assert [type(action) for action in actions] == [Pause]


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED])
def test_a_device_that_gets_nothing_says_why_it_does_now_not_why_it_once_did(state: State) -> None:
    unheard = Part("a", 0, PartState.EXCLUDED, reason="it has not said yet what it can run")
    actions = look(rollout(unheard, state=state), idle("a", capabilities=COREML, desired=None))
    assert actions == [Exclude("a", 0, NONE_FOR_COREML)]
    said = replace(unheard, reason=NONE_FOR_COREML)
    assert not any(isinstance(one, Exclude) for one in look(rollout(said, state=state), idle("a", capabilities=COREML, desired=None)))


def test_waits_for_a_device_that_is_online_and_has_not_reported_yet() -> None:
    new = idle("b", capabilities=None, report=None, desired=None)
    assert look(rollout(), new) == [Wait("no selected device has said yet what it can run")]
    subject = rollout(told("a", state=PartState.CONFIRMED))
    assert [type(action) for action in look(subject, done("a"), new)] == [Wait]


def test_a_device_never_heard_gets_the_version_when_it_appears_after_the_finish() -> None:
    subject = rollout(told("a", state=PartState.CONFIRMED))
    unheard = idle("b", online=False, capabilities=None, report=None, desired=None)
    excluded, finish = look(subject, done("a"), unheard)
    assert isinstance(excluded, Exclude) and isinstance(finish, Finish)
    later = rollout(*subject.parts.values(), Part("b", 0, PartState.EXCLUDED), state=State.FINISHED)
    assert [action.device for action in look(later, done("a"), idle("b", desired=None)) if isinstance(action, Tell)] == ["b"]


def test_a_finished_rollout_leaves_a_slot_that_something_newer_has_alone() -> None:
    subject = rollout(Part("b", 0, PartState.EXCLUDED), told("c"), state=State.FINISHED)
    newer = Held(content(3), 3)
    actions = look(subject, idle("b", desired=newer), idle("c", desired=newer))
    assert [type(action) for action in actions] == [Lost]


def test_a_revoked_device_is_neither_told_nor_waited_for() -> None:
    subject = rollout(told("a", state=PartState.CONFIRMED), told("b"))
    actions = look(subject, done("a"), asked("b", revoked=True), idle("c", revoked=True))
    assert [type(action) for action in actions] == [Lost, Finish]


def test_a_slot_that_another_rollout_has_in_hand_is_left_alone() -> None:
    actions = look(rollout(), idle("a"), idle("b", busy=1))
    assert [action.device for action in actions if isinstance(action, Tell)] == ["a"]


def test_an_empty_slot_is_taken_back_to_empty() -> None:
    part = replace(told("a"), previous=None)
    actions = look(rollout(part), asked("a", report=SlotReport(state=ServingState.EMPTY, failure=failure(4))))
    assert actions[-1] == TakeBack("a", None, "digits@2 was not confirmed here")


def test_a_comparison_gate_can_hold_the_next_stage_and_never_the_last_one() -> None:
    gated = Evidence(gates_between_devices=(lambda _rollout, _fleet: "not enough devices yet",))
    part = told("a", state=PartState.CONFIRMED)
    held = look(rollout(part, stages=(0.5, 1.0)), done("a"), idle("b"), evidence=gated)
    assert held == [Wait("stage 1 of 2: not enough devices yet")]
    assert [type(action) for action in look(rollout(part), done("a"), evidence=gated)] == [Finish]
