"""What operators can do with rollouts. Each changes rows in the caller's transaction; the reconciler does the rest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec
from sqlmodel import Session, col, select

from argosy.errors import Conflict, InvalidInput, NotFound
from argosy.names import check_name
from argosy.protocol.desired import Gates
from argosy.selectors import parse_selector
from argosy_controller.db.tables import DeviceRow, RolloutDeviceRow, RolloutRow
from argosy_controller.registry import catalogue
from argosy_controller.rollouts.applying import rollout_event
from argosy_controller.rollouts.facts import PartState, State
from argosy_controller.rollouts.loading import UNDER_WAY, members_under_way

MOST_STAGES = 20
_LONGEST_S = 30 * 86400.0


def start_rollout(
    session: Session,
    model: str,
    version: int,
    slot: str | None,
    selector: str,
    stages: Sequence[float],
    gates: Gates,
    deadline_s: float,
    by: str,
    now: float,
) -> int:
    """Starts bringing a version to devices.

    Args:
        session: a write transaction.
        slot: where on the devices; None: a slot of the model's name.
        selector: to whom.
        stages: cumulative shares in (0, 1], ascending, the last one 1.
        gates: what the devices check themselves after a swap.
        deadline_s: how long a device may be silent before it counts as lost, in seconds.
        by: the operator.
        now: seconds since 1970.

    Returns:
        The rollout's number.

    Raises:
        NotFound: there is no such version.
        InvalidInput: the selector does not parse or names no device; stages, slot or a time are not right.
        Conflict: a rollout under way has the same slot of one of the devices in hand.
    """
    slot = check_name("slot", slot or model)
    _check_stages(stages)
    _check_times(deadline_s, gates)
    _check_version(session, model, version)
    wanted = _selected(session, selector)
    _check_free(session, slot, wanted)
    row = RolloutRow(model=model, version=version, slot=slot, selector=selector.strip(), stages=list(stages), deadline_s=deadline_s,
                     gates=msgspec.structs.asdict(gates), created=now, created_by=by, reason="starting")  # fmt: skip
    session.add(row)
    session.flush()
    session.add(rollout_event(row, "rollout-started", f"{model}@{version} to {row.selector}, {len(wanted)} devices, by {by}", now))
    assert row.id is not None
    return row.id


def pause(session: Session, rollout: int, by: str, now: float) -> None:
    """Stops telling further devices; answers are still heard, and a verdict against the version still aborts.

    Raises:
        NotFound: there is no such rollout.
        Conflict: it is not running.
    """
    row = _row(session, rollout, (State.RUNNING,), "paused")
    _set(session, row, State.PAUSED, f"paused by {by}", now)


def resume(session: Session, rollout: int, by: str, now: float) -> None:
    """Goes on. Devices that were lost get another deadline: it begins now, or when they are seen.

    Raises:
        NotFound: there is no such rollout.
        Conflict: it is not paused.
    """
    row = _row(session, rollout, (State.PAUSED,), "resumed")
    online = dict(session.exec(select(DeviceRow.name, DeviceRow.online).where(col(DeviceRow.revoked).is_(False))).all())
    lost = select(RolloutDeviceRow).where(RolloutDeviceRow.rollout == rollout, RolloutDeviceRow.state == PartState.LOST.value)
    for part in session.exec(lost).all():
        if part.device in online:
            part.state, part.reason, part.ended = PartState.TOLD.value, "asked again", None
            part.deadline = now + row.deadline_s if online[part.device] else 0.0
            session.add(part)
    _set(session, row, State.RUNNING, f"resumed by {by}", now)


def abort(session: Session, rollout: int, by: str, now: float) -> None:
    """Stops for good; devices that have not confirmed are told to go back.

    Raises:
        NotFound: there is no such rollout.
        Conflict: it has ended.
    """
    row = _row(session, rollout, (State.RUNNING, State.PAUSED), "aborted")
    row.ended = now
    _set(session, row, State.ABORTED, f"aborted by {by}", now)


def _row(session: Session, rollout: int, states: Sequence[State], verb: str) -> RolloutRow:
    row = session.get(RolloutRow, rollout)
    if row is None:
        raise NotFound(f"there is no rollout {rollout}: see 'controller rollouts list'")
    if row.state not in [state.value for state in states]:
        raise Conflict(f"rollout {rollout} is {row.state}: only one that is {' or '.join(state.value for state in states)} can be {verb}")
    return row


def _set(session: Session, row: RolloutRow, state: State, reason: str, now: float) -> None:
    row.state, row.reason = state.value, reason
    session.add(row)
    kind = "rollout-resumed" if state is State.RUNNING else f"rollout-{state.value}"
    session.add(rollout_event(row, kind, f"{row.model}@{row.version}: {reason}", now))


def _check_version(session: Session, model: str, version: int) -> None:
    if not catalogue.version(session, model, version).variants:
        raise InvalidInput(f"version {model}@{version} has no variant that a device could run: register one with variants")


def _check_stages(stages: Sequence[float]) -> None:
    rising = all(one < two for one, two in itertools.pairwise(stages))
    if not 1 <= len(stages) <= MOST_STAGES or not rising or not stages[0] > 0 or stages[-1] != 1:
        shown = ",".join(f"{100 * share:g}%" for share in stages[: MOST_STAGES + 1])
        raise InvalidInput(
            f"stages {shown or 'none'} are not usable: give 1 to {MOST_STAGES} rising shares that end at 100%, like 25%,100%"
        )


def _check_times(deadline_s: float, gates: Gates) -> None:
    if not math.isfinite(deadline_s) or not 0 < deadline_s <= _LONGEST_S:
        raise InvalidInput(f"a deadline of {deadline_s:g} s is not usable: give more than 0 and at most {_LONGEST_S:.0f} s (30 days)")
    if not math.isfinite(gates.window_s) or not 0 < gates.window_s <= _LONGEST_S:
        raise InvalidInput(f"a health window of {gates.window_s:g} s is not usable: give more than 0 and at most {_LONGEST_S:.0f} s")


def _selected(session: Session, selector: str) -> set[str]:
    found = _matching(session, selector)
    if not found:
        raise InvalidInput(f"selector {selector.strip()!r:.120} matches no device: 'controller devices list' shows names and labels")
    return found


def _matching(session: Session, selector: str) -> set[str]:
    parsed = parse_selector(selector)
    rows = session.exec(select(DeviceRow.name, DeviceRow.labels).where(col(DeviceRow.revoked).is_(False)))
    return {name for name, labels in rows if parsed.matches(name, labels)}


def _check_free(session: Session, slot: str, wanted: set[str]) -> None:
    """No two rollouts under way may pull at one slot of one device, whether already told or only selected."""
    taken = {device: rollout for device, rollout in members_under_way(session, slot).items() if device in wanted}
    others = session.exec(select(RolloutRow).where(RolloutRow.slot == slot, col(RolloutRow.state).in_(UNDER_WAY))).all()
    for other in others:
        taken.update(dict.fromkeys(_matching(session, other.selector) & wanted, other.id or 0))
    if taken:
        device, rollout = min(taken.items())
        raise Conflict(
            f"rollout {rollout} is under way for slot {slot!r} on {len(taken)} of these devices ({device}): wait for its end, or abort it"
        )
