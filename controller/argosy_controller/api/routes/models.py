"""Models, and the upload of new versions."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from argosy_controller import commands
from argosy_controller.api.deps import PartsDep, Publisher, Viewer
from argosy_controller.api.uploads import receive_bundle
from argosy_controller.settings import MAX_FILE_BYTES
from argosy_controller.views.models import ModelVersionsView, ModelView, VersionView, list_models, one_model, one_version

router = APIRouter(tags=["models"])


@router.get("/models")
def models(parts: PartsDep, _: Viewer) -> list[ModelView]:
    """All models with their newest version."""
    with parts.database.read() as session:
        return list_models(session)


@router.get("/models/{model}")
def model(parts: PartsDep, _: Viewer, model: str) -> ModelVersionsView:
    """A model with its versions and variants."""
    with parts.database.read() as session:
        return one_model(session, model)


@router.get("/models/{model}/versions/{version}")
def version(parts: PartsDep, _: Viewer, model: str, version: int) -> VersionView:
    """One version."""
    with parts.database.read() as session:
        return one_version(session, model, version)


@router.post(
    "/versions",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}},
)
async def register(parts: PartsDep, who: Publisher, request: Request) -> VersionView:
    """Registers the bundle whose files are the parts `report.json` and `variants/NAME/FILE`; answers when it is signed and served."""
    with tempfile.TemporaryDirectory(dir=parts.folder.uploads) as temporary:
        folder = Path(temporary)
        await receive_bundle(request.headers.get("content-type", ""), request.stream(), folder, MAX_FILE_BYTES)
        return await run_in_threadpool(commands.register_bundle, parts, who.account, folder)
