"""Actions into the database: wishes, parts, the rollout's own state and the events that tell of it. One transaction, the caller's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
from sqlmodel import Session, col, select

from argosy.protocol.desired import Gates
from argosy_controller.db.tables import EventRow, RolloutDeviceRow, RolloutRow
from argosy_controller.fleet.desired import DesiredWriter, Wish, wish_all
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
from argosy_controller.rollouts.facts import PartState, State
from argosy_controller.rollouts.loading import as_previous


def apply(session: Session, writer: DesiredWriter, row: RolloutRow, actions: Sequence[Action], now: float) -> bool:
    """Applies actions in their order.

    Args:
        session: a write transaction.
        writer: signs the wishes.
        row: the rollout.
        actions: from `plan`.
        now: seconds since 1970.

    Returns:
        Whether anything changed: waiting for the same thing as before is no change.
    """
    changed = any(not isinstance(action, Wait) for action in actions)
    waiting = [action.reason for action in actions if isinstance(action, Wait) and action.reason != row.reason]
    if not changed and not waiting:
        return False
    _Application(session, row, _generations(session, writer, row, actions, now), now).run(actions)
    session.add(row)
    return changed


def _generations(session: Session, writer: DesiredWriter, row: RolloutRow, actions: Sequence[Action], now: float) -> dict[str, int]:
    wishes = []
    for action in actions:
        if isinstance(action, Tell):
            wishes.append(Wish(action.device, row.slot, action.content, row.id))
        elif isinstance(action, TakeBack):
            held = action.previous
            wishes.append(Wish(action.device, row.slot, held.content if held else None, held.rollout if held else None))
    return wish_all(session, writer, wishes, msgspec.convert(row.gates, Gates), now) if wishes else {}


class _Application:
    """Parts are loaded once; each kind of action is a few assignments."""

    def __init__(self, session: Session, row: RolloutRow, generations: dict[str, int], now: float) -> None:
        found = session.exec(select(RolloutDeviceRow).where(col(RolloutDeviceRow.rollout) == row.id))
        self._parts = {part.device: part for part in found}
        self._session = session
        self._row = row
        self._generations = generations
        self._now = now

    def run(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._one(action)
        self._session.add_all(self._parts.values())

    def _one(self, action: Action) -> None:
        match action:
            case Tell():
                self._tell(action)
            case Expect(device, deadline):
                self._parts[device].deadline = deadline
            case Confirm(device):
                self._end(device, PartState.CONFIRMED, self._parts[device].reason)  # why this variant
            case WentBack(device, failure):
                self._end(device, PartState.WENT_BACK, f"{failure.code}: {failure.text}"[:500])
            case Lost(device, reason):
                self._end(device, PartState.LOST, reason)
                self._event("lost", f"{self._title}: {reason}", device)
            case Exclude(device, stage, reason):
                self._part(device).stage = stage
                self._end(device, PartState.EXCLUDED, reason)
            case TakeBack(device, _, reason):
                self._take_back(device, reason)
            case _:
                self._whole(action)

    def _whole(self, action: Advance | Finish | Pause | Abort | Wait) -> None:
        row = self._row
        row.reason = action.reason
        match action:
            case Wait():
                return
            case Advance(stage):
                row.stage = stage
                self._event("stage", f"{self._title}: stage {stage + 1} of {len(row.stages)} starts; {action.reason}")
                return
            case Pause():
                row.state = State.PAUSED.value
            case Finish():
                row.state, row.ended = State.FINISHED.value, self._now
            case Abort():
                row.state, row.ended = State.ABORTED.value, self._now
        self._event(f"rollout-{row.state}", f"{self._title}: {action.reason}")

    def _tell(self, action: Tell) -> None:
        part = self._part(action.device)
        part.stage, part.state, part.reason, part.ended = action.stage, PartState.TOLD.value, action.reason, None
        part.variant, part.generation = action.content.variant, self._generations[action.device]
        part.told, part.deadline = self._now, action.deadline or 0.0
        part.previous = as_previous(action.previous)

    def _take_back(self, device: str, reason: str) -> None:
        part = self._parts[device]
        part.generation = self._generations[device]
        if part.state != PartState.WENT_BACK.value:
            self._end(device, PartState.WENT_BACK, reason)
            self._event("taken-back", f"{self._title}: {reason}", device)

    def _end(self, device: str, state: PartState, reason: str) -> None:
        part = self._part(device)
        part.state, part.reason, part.ended = state.value, reason, self._now

    def _part(self, device: str) -> RolloutDeviceRow:
        if device not in self._parts:
            assert self._row.id is not None
            self._parts[device] = RolloutDeviceRow(rollout=self._row.id, device=device, stage=0, state=PartState.EXCLUDED.value)
        return self._parts[device]

    @property
    def _title(self) -> str:
        return f"{self._row.model}@{self._row.version}"

    def _event(self, kind: str, text: str, device: str = "") -> None:
        self._session.add(rollout_event(self._row, kind, text, self._now, device))


def rollout_event(row: RolloutRow, kind: str, text: str, now: float, device: str = "") -> EventRow:
    """An event of the controller itself. Its boot is unique and holds what no device's may, so none can stand in its way."""
    boot = f"rollout:{uuid.uuid4().hex}"
    return EventRow(at=now, device=device, boot=boot, sequence=0, kind=kind, text=text[:2000], slot=row.slot, rollout=row.id)
