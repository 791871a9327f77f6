"""What a route needs, as named, typed dependencies: the parts of the controller, and who is asking with which role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from argosy.errors import NotAllowed
from argosy_controller.accounts.credentials import identify
from argosy_controller.accounts.roles import Identity, Role
from argosy_controller.parts import Parts

_BEARER = "bearer "


def parts_of(request: Request) -> Parts:
    """The controller that this application belongs to."""
    parts: Parts = request.app.state.parts
    return parts


def bearer(request: Request) -> Identity:
    """Who sent the API token.

    Raises:
        NotAllowed: no token, or not a good one.
    """
    header = request.headers.get("authorization", "")
    if header[: len(_BEARER)].lower() != _BEARER:
        raise NotAllowed("the API needs a token: send 'Authorization: Bearer TOKEN', the local operator's lies in admin-token")
    parts = parts_of(request)
    with parts.database.read() as session:
        return identify(session, header[len(_BEARER) :].strip(), "token", parts.clock())


def _needs(role: Role) -> Callable[..., Identity]:
    def dependency(identity: Annotated[Identity, Depends(bearer)]) -> Identity:
        return identity.require(role)

    return dependency


PartsDep = Annotated[Parts, Depends(parts_of)]
Viewer = Annotated[Identity, Depends(_needs(Role.VIEWER))]
Operator = Annotated[Identity, Depends(_needs(Role.OPERATOR))]
Publisher = Annotated[Identity, Depends(_needs(Role.PUBLISHER))]
Admin = Annotated[Identity, Depends(_needs(Role.ADMIN))]
