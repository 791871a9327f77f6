"""What a rollout does next: a pure function of what is and what should be.

Only what may happen *now* is returned, no script of the future: a crash, a late device or an operator's command needs no
special case, because the next call looks again. Planning again after applying gives nothing that was given before.

What was observed comes first (answers, verdicts, silence), then safety (abort, pause), then progress (tell, advance,
finish), and if nothing else is left, what is being waited for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from argosy.protocol.desired import SlotContent
from argosy_controller.fleet.choosing import choose_variant, content_of
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
from argosy_controller.rollouts.facts import Device, Evidence, Part, PartState, Rollout, State
from argosy_controller.rollouts.verdict import has_confirmed, verdict_against

#: After the controller (re)connects to the broker, how long the fleet has to be heard before silence counts, in seconds.
HEARING_S = 30.0

_ENDS = {Confirm: PartState.CONFIRMED, WentBack: PartState.WENT_BACK, Lost: PartState.LOST}
_OPEN = (PartState.TOLD, PartState.LOST)


def plan(rollout: Rollout, fleet: Mapping[str, Device], evidence: Evidence, now: float) -> list[Action]:
    """The actions that are due.

    Args:
        rollout: as it stands.
        fleet: every device that its selector matches or that has a part in it, by name.
        evidence: what else was measured.
        now: seconds since 1970.

    Returns:
        Actions to be applied together, in this order; a single Wait, or nothing, when there is nothing to do.
    """
    seen = [action for part in rollout.parts.values() for action in _observe(rollout, part, fleet.get(part.device), evidence, now)]
    after = replace(rollout, parts=_with(rollout.parts, seen))
    match rollout.state:
        case State.ABORTED:
            return [*seen, *_undo(after, fleet)]
        case State.FINISHED:
            return [*seen, *_return(after, fleet, (PartState.WENT_BACK,)), *_tell_latecomers(after, fleet, now)]
        case State.PAUSED:
            return [*seen, *_stop(after, fleet)]
        case State.RUNNING:
            return [*seen, *(_stop(after, fleet) or _hold(after, fleet) or _proceed(after, fleet, evidence, now))]


# What was observed


def _observe(rollout: Rollout, part: Part, device: Device | None, evidence: Evidence, now: float) -> list[Action]:
    """What has become known about one part. At most one answer; a device that only came online gets its clock."""
    if not part.member or part.state is PartState.WENT_BACK:
        return []
    if device is None or device.revoked or not _owned(rollout, device):
        return [Lost(part.device, _why_gone(device))] if part.state is PartState.TOLD else []
    if has_confirmed(device, part):
        return [Confirm(part.device)] if part.state is not PartState.CONFIRMED else []
    failure = verdict_against(rollout, device, part)
    if failure is not None and not (part.state is PartState.CONFIRMED and rollout.state is State.FINISHED):
        return [WentBack(part.device, failure)]
    waits = part.state is PartState.TOLD and rollout.state is not State.ABORTED
    return _observe_silence(rollout, part, device, evidence, now) if waits else []


def _observe_silence(rollout: Rollout, part: Part, device: Device, evidence: Evidence, now: float) -> list[Action]:
    if part.deadline is None:
        return [Expect(part.device, now + rollout.deadline_s)] if device.online else []
    heard = evidence.listening_since is not None and now >= evidence.listening_since + HEARING_S
    if now < part.deadline or not heard:
        return []
    return [Lost(part.device, f"it neither confirmed nor refused {rollout.title} within {rollout.deadline_s:.0f} s")]


def _owned(rollout: Rollout, device: Device) -> bool:
    """Whether the slot still holds this rollout's wish; a later rollout or an operator may have taken it over."""
    return device.desired is not None and device.desired.rollout == rollout.id


def _why_gone(device: Device | None) -> str:
    if device is None or device.revoked:
        return "the device was revoked"
    return "the slot was given to something else since"


def _with(parts: Mapping[str, Part], seen: Iterable[Action]) -> dict[str, Part]:
    result = dict(parts)
    for action in seen:
        if isinstance(action, Confirm | WentBack | Lost):
            result[action.device] = replace(result[action.device], state=_ENDS[type(action)])
        elif isinstance(action, Expect):
            result[action.device] = replace(result[action.device], deadline=action.deadline)
    return result


# Safety


def _stop(rollout: Rollout, fleet: Mapping[str, Device]) -> list[Action]:
    """Aborts when a device gave a verdict. Devices that have not confirmed are taken back in the same breath."""
    against = sorted(part.device for part in rollout.parts.values() if part.state is PartState.WENT_BACK)
    if not against:
        return []
    others = f" and {len(against) - 1} more" if len(against) > 1 else ""
    reason = f"{against[0]}{others} went back from {rollout.title} in stage {rollout.stage + 1} of {len(rollout.stages)}"
    return [Abort(reason), *_undo(rollout, fleet)]


def _undo(rollout: Rollout, fleet: Mapping[str, Device]) -> list[Action]:
    """Takes every device back that has not confirmed; whoever cannot be reached any more was lost before. Nobody is left told."""
    return _return(rollout, fleet, (*_OPEN, PartState.WENT_BACK))


def _return(rollout: Rollout, fleet: Mapping[str, Device], states: Sequence[PartState]) -> list[Action]:
    return [
        TakeBack(part.device, part.previous, f"{rollout.title} was not confirmed here")
        for part in rollout.parts.values()
        if part.state in states and _reachable(rollout, fleet.get(part.device))
    ]


def _reachable(rollout: Rollout, device: Device | None) -> bool:
    return device is not None and not device.revoked and _owned(rollout, device)


def _hold(rollout: Rollout, fleet: Mapping[str, Device]) -> list[Action]:
    """Pauses when more than half of a stage's devices that could have spoken were lost."""
    could_speak = _speaking(rollout, fleet)
    lost = [part for part in could_speak if part.state is PartState.LOST]
    if 2 * len(lost) <= len(could_speak):
        return []
    return [Pause(f"{len(lost)} of {len(could_speak)} devices of stage {rollout.stage + 1} were lost: look at them, then resume or abort")]


def _of_stage(rollout: Rollout) -> list[Part]:
    return [part for part in rollout.parts.values() if part.member and part.stage == rollout.stage]


def _speaking(rollout: Rollout, fleet: Mapping[str, Device]) -> list[Part]:
    """The stage's devices that have spoken or owe an answer: not those that are offline since they were told, or gone."""
    return [part for part in _of_stage(rollout) if not part.waits_offline and _reachable(rollout, fleet.get(part.device))]


# Progress


def _proceed(rollout: Rollout, fleet: Mapping[str, Device], evidence: Evidence, now: float) -> list[Action]:
    choices = {name: _choice(rollout, device) for name, device in fleet.items() if _candidate(rollout, device)}
    excluded: list[Action] = [
        Exclude(name, rollout.stage, reason)
        for name, (content, reason) in choices.items()
        if content is None and _unsaid(rollout, name, reason)
    ]
    runnable = {name: (content, reason) for name, (content, reason) in choices.items() if content is not None}
    told = _fill(rollout, fleet, runnable, now)
    if excluded or told:
        return [*excluded, *told]
    return _step(rollout, fleet, evidence)


def _candidate(rollout: Rollout, device: Device) -> bool:
    """Whether the device may be told: selected, free, known, and not yet told."""
    part = rollout.parts.get(device.name)
    free = device.matches and not device.revoked and device.busy is None and device.capabilities is not None
    return free and (part is None or not part.member)


def _unsaid(rollout: Rollout, name: str, reason: str) -> bool:
    """Whether operators have not read yet that, and why, a device gets nothing: what it can run may have changed since."""
    part = rollout.parts.get(name)
    return part is None or part.reason != reason


def _choice(rollout: Rollout, device: Device) -> tuple[SlotContent | None, str]:
    assert device.capabilities is not None
    card, reason = choose_variant(rollout.cards, device.capabilities)
    return (None if card is None else content_of(card)), reason


def _fill(rollout: Rollout, fleet: Mapping[str, Device], runnable: Mapping[str, tuple[SlotContent, str]], now: float) -> list[Action]:
    """Tells as many devices as the stage still lacks: online ones first, then in an order drawn anew for each rollout."""
    ordered = sorted(runnable, key=lambda name: (not fleet[name].online, _draw(rollout.id, name)))
    members = len(_members(rollout, fleet))
    chosen = ordered[: max(0, _target(rollout, fleet, runnable) - members)]
    if not chosen and _of_stage(rollout) and not _speaking(rollout, fleet):
        # The stage's devices are all offline or gone. Rather than wait for ever, ask one that can answer.
        chosen = [name for name in ordered if fleet[name].online][:1]
    return [_tell(rollout, fleet[name], *runnable[name], now) for name in chosen]


def _target(rollout: Rollout, fleet: Mapping[str, Device], runnable: Mapping[str, object]) -> int:
    """How many devices should have been told by now: a share of all that take part, rounded down, at least one."""
    unknown = sum(1 for device in fleet.values() if _unheard(rollout, device))
    everyone = len(_members(rollout, fleet)) + len(runnable) + unknown
    return max(1, int(rollout.stages[rollout.stage] * everyone + 1e-9))


def _unheard(rollout: Rollout, device: Device) -> bool:
    """Selected, and never yet heard what it can run."""
    return device.matches and not device.revoked and device.capabilities is None and device.name not in rollout.parts


def _members(rollout: Rollout, fleet: Mapping[str, Device]) -> list[Part]:
    """Everyone told so far, without devices that were revoked since."""
    return [part for part in rollout.parts.values() if part.member and (device := fleet.get(part.device)) and not device.revoked]


def _draw(rollout: int, device: str) -> bytes:
    return hashlib.sha256(f"{rollout}/{device}".encode()).digest()


def _tell(rollout: Rollout, device: Device, content: SlotContent, reason: str, now: float) -> Tell:
    deadline = now + rollout.deadline_s if device.online else None
    return Tell(device.name, content, rollout.stage, deadline, device.desired, reason)


def _step(rollout: Rollout, fleet: Mapping[str, Device], evidence: Evidence) -> list[Action]:
    """Every device of the stage was told: what follows?"""
    members = _members(rollout, fleet)
    if not members:
        return [_nobody(rollout, fleet)]
    pending = _pending(rollout, members, fleet)
    where = f"stage {rollout.stage + 1} of {len(rollout.stages)}"
    if pending:
        return [Wait(f"{where}: {len(pending)} of {len(members)} devices have not confirmed yet")]
    if not any(part.state is PartState.CONFIRMED for part in _of_stage(rollout) or members):
        return [Wait(f"{where}: none of its devices is online")]
    confirmed = sum(part.state is PartState.CONFIRMED for part in members)
    if rollout.last:
        return _finish(rollout, fleet, _outcome(members))
    blocked = [reason for gate in evidence.gates_between_devices if (reason := gate(rollout, fleet))]
    if blocked:
        return [Wait(f"{where}: {blocked[0]}")]
    return [Advance(rollout.stage + 1, f"{where}: {confirmed} of {len(members)} devices confirmed")]


def _outcome(members: Sequence[Part]) -> str:
    count = Counter(part.state for part in members)
    told = f"; {count[PartState.TOLD]} will follow when online" if count[PartState.TOLD] else ""
    lost = f"; {count[PartState.LOST]} lost" if count[PartState.LOST] else ""
    return f"{count[PartState.CONFIRMED]} of {len(members)} devices confirmed{told}{lost}"


def _pending(rollout: Rollout, members: Sequence[Part], fleet: Mapping[str, Device]) -> list[str]:
    """Who holds the stage: told devices that are online, and before the last stage also those that vanished in mid-update."""
    told = [part for part in members if part.state is PartState.TOLD]
    holding = [part.device for part in told if fleet[part.device].online or not (rollout.last or part.waits_offline)]
    unheard = [device.name for device in fleet.values() if rollout.last and device.online and _unheard(rollout, device)]
    return holding + unheard


def _nobody(rollout: Rollout, fleet: Mapping[str, Device]) -> Action:
    if any(_unheard(rollout, device) for device in fleet.values()):
        return Wait("no selected device has said yet what it can run")
    if rollout.parts:
        return Pause(f"no selected device can run any variant of {rollout.title}: add a variant for them, or abort")
    return Wait("no free device matches the selector now")


def _finish(rollout: Rollout, fleet: Mapping[str, Device], reason: str) -> list[Action]:
    """Finishes, and notes the devices that were never heard, so that they get the version when they appear."""
    unheard = [device.name for device in fleet.values() if _unheard(rollout, device)]
    noted: list[Action] = [Exclude(name, rollout.stage, "it has not said yet what it can run") for name in unheard]
    return [*noted, Finish(reason)]


def _tell_latecomers(rollout: Rollout, fleet: Mapping[str, Device], now: float) -> list[Action]:
    """A finished rollout still reaches those of its devices that could not be told, unless something newer has them."""
    late = [fleet[part.device] for part in rollout.parts.values() if not part.member and part.device in fleet]
    open_to = [device for device in late if _candidate(rollout, device) and not _newer(rollout, device)]
    chosen = [(device, *_choice(rollout, device)) for device in open_to]
    told = [_tell(rollout, device, content, reason, now) for device, content, reason in chosen if content is not None]
    none = [(device.name, reason) for device, content, reason in chosen if content is None and _unsaid(rollout, device.name, reason)]
    return [*told, *(Exclude(name, rollout.parts[name].stage, reason) for name, reason in none)]


def _newer(rollout: Rollout, device: Device) -> bool:
    return device.desired is not None and (device.desired.rollout or 0) >= rollout.id
