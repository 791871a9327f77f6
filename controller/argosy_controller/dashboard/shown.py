"""How a page is shown: to whoever is signed in, inside the frame, with headers that let nothing foreign in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from argosy.errors import ArgosyError, NotAllowed, NotFound
from argosy_controller.accounts.roles import Role
from argosy_controller.accounts.throttle import Throttle
from argosy_controller.dashboard import sessions
from argosy_controller.dashboard.frame import Notice, assets_version, frame_for
from argosy_controller.parts import Parts
from argosy_controller.views.status import status_of

#: Nothing from elsewhere, nothing inline: what an attacker could get into a page is text, never code or style.
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_log = logging.getLogger(__name__)
PageQuery = Callable[[Session, float], Any]


@dataclass(frozen=True)
class Dashboard:
    """Renders pages and takes forms."""

    parts: Parts
    throttle: Throttle = field(default_factory=Throttle)
    templates: Environment = field(
        default_factory=lambda: Environment(
            loader=PackageLoader("argosy_controller.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    )

    def __post_init__(self) -> None:
        self.templates.globals["p"] = self.templates.get_template("parts.html").module

    def show(
        self, request: Request, here: str, template: str, query: PageQuery, flash: Notice | None = None, status: int = 200
    ) -> Response:
        """One page for whoever is signed in; a page that fails is told inside the same frame."""
        try:
            who = sessions.visitor(self.parts, request)
            who.identity.require(Role.VIEWER)
        except NotAllowed:
            return RedirectResponse(f"/login?next={request.url.path}", 303, HEADERS)
        now = self.parts.clock()
        frame = frame_for(who.identity.account, who.form_token, here, status_of(self.parts), self.parts.repository.ending(now), now, flash)
        try:
            with self.parts.database.read() as session:
                page = query(session, now)
        except ArgosyError as error:
            title = "Not found" if isinstance(error, NotFound) else "This does not work"
            return self._render("broken.html", error.status, frame=frame, title=title, text=str(error))
        except Exception:
            _log.exception("page %s broke", request.url.path)
            text = "The controller could not make this page; its log says why. Everything else goes on."
            return self._render("broken.html", 500, frame=frame, title="This page broke", text=text)
        return self._render(template, status, frame=frame, page=page)

    def login(self, request: Request, name: str = "", error: str = "", status: int = 200) -> Response:
        """The sign-in page."""
        target = safe_target(request.query_params.get("next", "/"))
        return self._render("login.html", status, assets=assets_version(), name=name, error=error, next=target)

    def _render(self, template: str, status: int, **values: object) -> Response:
        return HTMLResponse(self.templates.get_template(template).render(**values), status, HEADERS)


def safe_target(path: str) -> str:
    """Where to go after signing in: a path of this site, never an address (`//host` is one too)."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
