"""Devices and the tokens with which they enrol."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from argosy_controller import commands
from argosy_controller.api.bodies import NewToken
from argosy_controller.api.deps import Admin, Operator, PartsDep, Viewer
from argosy_controller.commands import RevokedView
from argosy_controller.views.devices import DeviceView, list_devices, one_device
from argosy_controller.views.tokens import NewTokenView, TokenView, list_tokens

router = APIRouter(tags=["devices"])


@router.get("/devices")
def devices(parts: PartsDep, _: Viewer, selector: Annotated[str, Query(max_length=1000)] = "*") -> list[DeviceView]:
    """Devices that a selector names."""
    with parts.database.read() as session:
        return list_devices(session, selector)


@router.get("/devices/{device}")
def device(parts: PartsDep, _: Viewer, device: str) -> DeviceView:
    """One device."""
    with parts.database.read() as session:
        return one_device(session, device)


@router.post("/devices/{device}/revoke")
def revoke(parts: PartsDep, who: Admin, device: str) -> RevokedView:
    """Shuts a device out for good."""
    return commands.revoke_device(parts, who.account, device)


@router.post("/devices/{device}/allow-new-key")
def allow_new_key(parts: PartsDep, who: Admin, device: str) -> DeviceView:
    """Lets a device enrol once more under its name, with a new key."""
    commands.allow_rekey(parts, who.account, device)
    with parts.database.read() as session:
        return one_device(session, device)


@router.get("/tokens")
def tokens(parts: PartsDep, _: Viewer) -> list[TokenView]:
    """Enrolment tokens, without their secrets."""
    with parts.database.read() as session:
        return list_tokens(session)


@router.post("/tokens", status_code=201)
def create_token(parts: PartsDep, who: Operator, body: NewToken) -> NewTokenView:
    """Makes an enrolment token; the line is shown this once."""
    return commands.create_token(parts, who.account, body.labels, body.uses, body.expires_s)
