"""Builds that run on the controller."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from argosy_controller.api.deps import Admin, PartsDep, Publisher, Viewer
from argosy_controller.api.uploads import receive_files
from argosy_controller.jobs import commands, results
from argosy_controller.jobs.intake import MAX_TASK_BYTES, UPLOAD_EXPECTED, UPLOAD_NAMES
from argosy_controller.views.builds import BuildView, LogView, list_builds, log_tail, one_build

router = APIRouter(tags=["builds"])
_MULTIPART = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}}


@dataclass(frozen=True)
class ResultFile:
    """A file of a build's result."""

    path: str
    bytes: int


@router.get("/builds")
def builds(parts: PartsDep, _: Viewer, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[BuildView]:
    """Builds, newest first."""
    with parts.database.read() as session:
        return list_builds(session, parts.builds.places, parts.clock(), limit)


@router.post("/builds", status_code=201, openapi_extra=_MULTIPART)
async def queue_build(parts: PartsDep, who: Admin, request: Request) -> BuildView:
    """Queues a build of the task whose files are the parts `request.json`, `task/PATH` and `recipe/FILE`.

    The task's Python runs as the controller's own user: whoever may send one may do what the controller may.
    """
    with tempfile.TemporaryDirectory(dir=parts.folder.uploads) as temporary:
        folder = Path(temporary)
        kind = request.headers.get("content-type", "")
        await receive_files(kind, request.stream(), folder, MAX_TASK_BYTES, UPLOAD_NAMES, UPLOAD_EXPECTED)
        return await run_in_threadpool(commands.queue_build, parts, who.account, folder)


@router.get("/builds/{build}")
def build(parts: PartsDep, _: Viewer, build: int) -> BuildView:
    """One build: its state, how far it is, how long its stage will take yet."""
    with parts.database.read() as session:
        return one_build(session, parts.builds.places, build, parts.clock())


@router.post("/builds/{build}/cancel")
def cancel(parts: PartsDep, who: Admin, build: int) -> BuildView:
    """Ends a build; nothing of it is registered."""
    return commands.cancel_build(parts, who.account, build)


@router.get("/builds/{build}/log")
def log(parts: PartsDep, _: Viewer, build: int) -> LogView:
    """The end of what it printed."""
    with parts.database.read() as session:
        return log_tail(session, parts.builds.places, build)


@router.get("/builds/{build}/report")
def report(parts: PartsDep, _: Viewer, build: int) -> dict[str, Any]:
    """Its report.json."""
    return results.report_document(parts, build)


@router.get("/builds/{build}/files")
def files(parts: PartsDep, _: Publisher, build: int) -> list[ResultFile]:
    """The files of its result; the variants are there while they wait for their publisher."""
    return [ResultFile(path, size) for path, size in results.result_files(parts, build).items()]


@router.get("/builds/{build}/files/{path:path}")
def file(parts: PartsDep, _: Publisher, build: int, path: str) -> Response:
    """One file of its result."""
    return FileResponse(results.result_file(parts, build, path), media_type="application/octet-stream")
