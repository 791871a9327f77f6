"""Routes of the dashboard's pages about builds and reports."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from argosy.errors import ArgosyError
from argosy_controller.accounts.roles import Role
from argosy_controller.dashboard import sessions
from argosy_controller.dashboard.frame import Notice
from argosy_controller.dashboard.pages import build, builds, report
from argosy_controller.dashboard.shown import HEADERS, Dashboard
from argosy_controller.jobs import commands
from argosy_controller.pipeline.report import Report
from argosy_controller.views.reports import PAGE_HEADERS, report_html, report_of_build, report_of_version


def add_builds(router: APIRouter, shown: Dashboard) -> None:
    """Adds them."""
    places = shown.parts.builds.places

    @router.get("/builds")
    def _builds(request: Request) -> Response:
        return shown.show(request, "/builds", "builds.html", lambda session, now: builds.page(session, places, now))

    @router.get("/builds/{number}")
    def _build(request: Request, number: int) -> Response:
        return shown.show(request, "/builds", "build.html", lambda session, now: build.page(session, places, number, now))

    @router.get("/builds/{number}/report")
    def _report_of_build(request: Request, number: int) -> Response:
        return _report(shown, request, lambda session: report_of_build(session, places, number))

    @router.post("/builds/{number}/cancel")
    async def _cancel(request: Request, number: int) -> Response:
        form = await request.form()
        return await run_in_threadpool(_cancelled, shown, request, form, number)

    @router.get("/models/{name}/versions/{number}")
    def _version(request: Request, name: str, number: int) -> Response:
        return shown.show(request, "/models", "report.html", lambda session, now: report.page(session, name, number))

    @router.get("/models/{name}/versions/{number}/report")
    def _report_of_version(request: Request, name: str, number: int) -> Response:
        return _report(shown, request, lambda session: report_of_version(session, name, number))


def _report(shown: Dashboard, request: Request, find: Callable[[Session], Report]) -> Response:
    """A report by itself, without script and without origin."""
    sessions.visitor(shown.parts, request).identity.require(Role.VIEWER)
    with shown.parts.database.read() as session:
        found = find(session)
    return HTMLResponse(report_html(found), headers=PAGE_HEADERS)


def _cancelled(shown: Dashboard, request: Request, form: FormData, number: int) -> Response:
    places = shown.parts.builds.places
    try:
        who = sessions.visitor(shown.parts, request)
        sessions.check_form(request, form)
        commands.cancel_build(shown.parts, who.identity.require(Role.ADMIN).account, number)
    except ArgosyError as error:
        flash = Notice("bad", "Nothing was changed.", str(error))
        return shown.show(
            request, "/builds", "build.html", lambda session, now: build.page(session, places, number, now), flash, error.status
        )
    return RedirectResponse(f"/builds/{number}", 303, HEADERS)
