"""Rollouts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from argosy_controller import commands
from argosy_controller.api.bodies import NewRollout
from argosy_controller.api.deps import Operator, PartsDep, Viewer
from argosy_controller.views.rollouts import RolloutView, list_rollouts, one_rollout

router = APIRouter(tags=["rollouts"])


@router.get("/rollouts")
def rollouts(parts: PartsDep, _: Viewer, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[RolloutView]:
    """Rollouts, newest first, without their devices."""
    with parts.database.read() as session:
        return list_rollouts(session, limit)


@router.get("/rollouts/{rollout}")
def rollout(parts: PartsDep, _: Viewer, rollout: int) -> RolloutView:
    """One rollout with its devices."""
    with parts.database.read() as session:
        return one_rollout(session, rollout)


@router.post("/rollouts", status_code=201)
def start(parts: PartsDep, who: Operator, body: NewRollout) -> RolloutView:
    """Starts a rollout."""
    return commands.start_rollout(
        parts,
        who.account,
        commands.RolloutWish(
            body.model, body.version, body.selector, body.slot or body.model, tuple(body.stages), body.deadline_s, body.health_window_s
        ),
    )


@router.post("/rollouts/{rollout}/pause")
def pause(parts: PartsDep, who: Operator, rollout: int) -> RolloutView:
    """Stops telling further devices."""
    return commands.change_rollout(parts, who.account, rollout, "pause")


@router.post("/rollouts/{rollout}/resume")
def resume(parts: PartsDep, who: Operator, rollout: int) -> RolloutView:
    """Goes on with a paused rollout."""
    return commands.change_rollout(parts, who.account, rollout, "resume")


@router.post("/rollouts/{rollout}/abort")
def abort(parts: PartsDep, who: Operator, rollout: int) -> RolloutView:
    """Stops for good; devices that have not confirmed are told to go back."""
    return commands.change_rollout(parts, who.account, rollout, "abort")
