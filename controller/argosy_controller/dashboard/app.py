"""Routes of the dashboard: who is asking, one query, one template. Forms call the same commands as the API."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from argosy.errors import ArgosyError, NotFound
from argosy.names import parse_label, parse_version
from argosy_controller import commands
from argosy_controller.accounts.roles import Role
from argosy_controller.dashboard import sessions
from argosy_controller.dashboard.build_routes import add_builds
from argosy_controller.dashboard.frame import STATIC, Notice
from argosy_controller.dashboard.pages import device, enrol, events, fleet, model, models, patterns, rollout, rollouts
from argosy_controller.dashboard.shown import HEADERS, Dashboard, safe_target
from argosy_controller.parts import Parts
from argosy_controller.texts import parse_duration, parse_stages
from argosy_controller.views.status import status_of
from argosy_controller.views.tokens import NewTokenView

_STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def dashboard_router(parts: Parts) -> APIRouter:
    """Builds the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    shown = Dashboard(parts)
    _add_pages(router, shown)
    _add_sessions(router, shown)
    _add_forms(router, shown)
    add_builds(router, shown)

    @router.get("/static/{name:path}")
    def static(name: str) -> Response:
        path = (STATIC / name).resolve()
        if not path.is_relative_to(STATIC.resolve()) or not path.is_file():
            raise NotFound(f"there is no file {name!r:.80}")
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return FileResponse(path, headers=headers, media_type=_STATIC_TYPES.get(path.suffix, "application/octet-stream"))

    return router


def _add_pages(router: APIRouter, shown: Dashboard) -> None:
    @router.get("/")
    def _fleet(request: Request, selector: str = "*") -> Response:
        status = status_of(shown.parts)
        return shown.show(request, "/", "fleet.html", lambda session, now: fleet.page(session, status, now, selector or "*"))

    @router.get("/devices/{name}")
    def _device(request: Request, name: str) -> Response:
        return shown.show(request, "/", "device.html", lambda session, now: device.page(session, name, now))

    @router.get("/models")
    def _models(request: Request) -> Response:
        return shown.show(request, "/models", "models.html", models.page)

    @router.get("/models/{name}")
    def _model(request: Request, name: str) -> Response:
        return shown.show(request, "/models", "model.html", lambda session, now: model.page(session, name, now))

    @router.get("/rollouts")
    def _rollouts(request: Request, version: str = "") -> Response:
        return shown.show(request, "/rollouts", "rollouts.html", lambda session, now: rollouts.page(session, now, version))

    @router.get("/rollouts/{number}")
    def _rollout(request: Request, number: int) -> Response:
        return shown.show(request, "/rollouts", "rollout.html", lambda session, now: rollout.page(session, number, now))

    @router.get("/events")
    def _events(request: Request, device: str = "", kind: str = "") -> Response:
        return shown.show(request, "/events", "events.html", lambda session, now: events.page(session, now, device, kind))

    @router.get("/enrol")
    def _enrol(request: Request) -> Response:
        return shown.show(request, "/enrol", "enrol.html", lambda session, now: enrol.page(session, now, shown.parts.endpoints.device_api))

    @router.get("/patterns")
    def _patterns(request: Request) -> Response:
        return shown.show(request, "", "patterns.html", lambda session, now: patterns.page())


def _add_sessions(router: APIRouter, shown: Dashboard) -> None:
    @router.get("/login")
    def _login_page(request: Request) -> Response:
        return shown.login(request)

    @router.post("/login")
    async def _login(request: Request) -> Response:
        form = await request.form()
        name, password = _text(form, "name"), _text(form, "password")
        try:
            sessions.check_origin(request)
            secret = await run_in_threadpool(sessions.open_session, shown.parts, shown.throttle, request, name, password)
        except ArgosyError as error:
            return await run_in_threadpool(shown.login, request, name, str(error), error.status)
        answer = RedirectResponse(safe_target(_text(form, "next")), 303, HEADERS)
        sessions.set_cookie(answer, request, secret)
        return answer

    @router.post("/logout")
    async def _logout(request: Request) -> Response:
        sessions.check_form(request, await request.form())
        await run_in_threadpool(sessions.close_session, shown.parts, request)
        answer = RedirectResponse("/login", 303, HEADERS)
        sessions.set_cookie(answer, request, "")
        return answer


def _add_forms(router: APIRouter, shown: Dashboard) -> None:
    @router.post("/rollouts")
    async def _start(request: Request) -> Response:
        form = await request.form()
        return await run_in_threadpool(_started, shown, request, form)

    @router.post("/rollouts/{number}/{change}")
    async def _change(request: Request, number: int, change: str) -> Response:
        form = await request.form()
        return await run_in_threadpool(_changed, shown, request, form, number, change)

    @router.post("/enrol")
    async def _make_token(request: Request) -> Response:
        form = await request.form()
        return await run_in_threadpool(_token_made, shown, request, form)


def _started(shown: Dashboard, request: Request, form: FormData) -> Response:
    try:
        made = _start_rollout(shown.parts, request, form)
    except ArgosyError as error:
        flash, chosen = Notice("bad", "Not started.", str(error)), _text(form, "version")
        return shown.show(
            request, "/rollouts", "rollouts.html", lambda session, now: rollouts.page(session, now, chosen), flash, error.status
        )
    return RedirectResponse(f"/rollouts/{made}", 303, HEADERS)


def _changed(shown: Dashboard, request: Request, form: FormData, number: int, change: str) -> Response:
    try:
        _change_rollout(shown.parts, request, form, number, change)
    except ArgosyError as error:
        flash = Notice("bad", "Nothing was changed.", str(error))
        return shown.show(
            request, "/rollouts", "rollout.html", lambda session, now: rollout.page(session, number, now), flash, error.status
        )
    return RedirectResponse(f"/rollouts/{number}", 303, HEADERS)


def _token_made(shown: Dashboard, request: Request, form: FormData) -> Response:
    made: NewTokenView | None = None
    flash, status = Notice("ok", "Made.", "Copy the line now: only its hash is kept."), 200
    try:
        made = _create_token(shown.parts, request, form)
    except ArgosyError as error:
        flash, status = Notice("bad", "No token was made.", str(error)), error.status
    return shown.show(
        request,
        "/enrol",
        "enrol.html",
        lambda session, now: enrol.page(session, now, shown.parts.endpoints.device_api, made),
        flash,
        status,
    )


def _operator(parts: Parts, request: Request, form: FormData) -> str:
    """The account behind a form that changes something."""
    who = sessions.visitor(parts, request)
    sessions.check_form(request, form)
    return who.identity.require(Role.OPERATOR).account


def _start_rollout(parts: Parts, request: Request, form: FormData) -> int:
    account = _operator(parts, request, form)
    name, number = parse_version(_text(form, "version"))
    wanted = commands.RolloutWish(
        model=name,
        version=number,
        selector=_text(form, "selector"),
        slot=_text(form, "slot") or name,
        stages=tuple(parse_stages(_text(form, "stages"))),
        deadline_s=parse_duration(_text(form, "deadline")),
        health_window_s=parse_duration(_text(form, "health_window")),
    )
    return commands.start_rollout(parts, account, wanted).rollout


def _change_rollout(parts: Parts, request: Request, form: FormData, number: int, change: str) -> None:
    account = _operator(parts, request, form)
    if change not in ("pause", "resume", "abort"):
        raise NotFound(f"a rollout cannot be told to {change!r:.20}")
    commands.change_rollout(parts, account, number, change)


def _create_token(parts: Parts, request: Request, form: FormData) -> NewTokenView:
    account = _operator(parts, request, form)
    labels = dict(parse_label(text.strip()) for text in _text(form, "labels").split(",") if text.strip())
    uses = _text(form, "uses")
    return commands.create_token(parts, account, labels, int(uses) if uses.isdigit() else 0, parse_duration(_text(form, "expires")))


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip()[:2000] if isinstance(value, str) else ""
