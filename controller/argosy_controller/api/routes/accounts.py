"""API tokens of the asking account."""

from __future__ import annotations

from fastapi import APIRouter

from argosy_controller import commands
from argosy_controller.api.bodies import NewApiToken
from argosy_controller.api.deps import Admin, PartsDep
from argosy_controller.commands import ApiTokenView

router = APIRouter(tags=["accounts"])


@router.post("/api-tokens", status_code=201)
def create_api_token(parts: PartsDep, who: Admin, body: NewApiToken) -> ApiTokenView:
    """Makes an API token, for scripts elsewhere (ARGOSY_TOKEN); shown this once."""
    return commands.create_api_token(parts, who.account, body.name, body.expires_s)
