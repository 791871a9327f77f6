"""Models, and the upload of new versions."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from argosy_controller import commands
from argosy_controller.api.bodies import Signed
from argosy_controller.api.deps import PartsDep, Publisher, Viewer
from argosy_controller.api.uploads import receive_bundle
from argosy_controller.settings import MAX_FILE_BYTES
from argosy_controller.staging import StagedView
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


_MULTIPART = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}}


@router.post("/versions", status_code=201, openapi_extra=_MULTIPART)
async def register(parts: PartsDep, who: Publisher, request: Request) -> VersionView:
    """Registers the bundle whose files are the parts `report.json` and `variants/NAME/FILE`, signed here (lab mode)."""
    with tempfile.TemporaryDirectory(dir=parts.folder.uploads) as temporary:
        folder = await _received(request, Path(temporary))
        return await run_in_threadpool(commands.register_bundle, parts, who.account, folder)


@router.post("/versions/staged", status_code=201, openapi_extra=_MULTIPART)
async def stage(parts: PartsDep, _: Publisher, request: Request) -> StagedView:
    """Takes the same bundle in for a publisher who signs elsewhere; nothing is registered before the signature comes."""
    with tempfile.TemporaryDirectory(dir=parts.folder.uploads) as temporary:
        folder = await _received(request, Path(temporary))
        return await run_in_threadpool(commands.stage_bundle, parts, folder)


@router.post("/versions/staged/{upload}", status_code=201)
def sign(parts: PartsDep, who: Publisher, upload: str, body: Signed) -> VersionView:
    """Registers a staged bundle with its publisher's signature."""
    return commands.register_staged(parts, who.account, upload, body.as_targets())


async def _received(request: Request, temporary: Path) -> Path:
    folder = temporary / "bundle"
    folder.mkdir()
    await receive_bundle(request.headers.get("content-type", ""), request.stream(), folder, MAX_FILE_BYTES)
    return folder
