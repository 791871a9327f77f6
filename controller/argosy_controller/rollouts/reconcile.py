"""One look at every open rollout: load, plan, apply, all in the caller's transaction.

Level-triggered: it may be called at any time and killed anywhere. A kill before the commit leaves nothing behind, one after
it leaves the outbox, which the link drains at its next start.
"""

from __future__ import annotations

from sqlmodel import Session

from argosy_controller.fleet.desired import DesiredWriter
from argosy_controller.rollouts.applying import apply
from argosy_controller.rollouts.facts import Evidence
from argosy_controller.rollouts.loading import load_devices, load_fleet, load_rollout, open_rollouts
from argosy_controller.rollouts.plan import plan


def reconcile(session: Session, writer: DesiredWriter, evidence: Evidence, now: float) -> bool:
    """Plans for every open rollout and applies what is due.

    Args:
        session: a write transaction.
        writer: signs the wishes.
        evidence: what else was measured.
        now: seconds since 1970.

    Returns:
        Whether anything changed. Then call again: a started stage has devices to tell.
    """
    rows = open_rollouts(session)
    devices = load_devices(session) if rows else {}
    changed = False
    for row in rows:
        rollout = load_rollout(session, row)
        actions = plan(rollout, load_fleet(session, row, rollout, devices), evidence, now)
        changed |= apply(session, writer, row, actions, now)
        session.flush()  # the next rollout must see which slots this one took
    return changed
