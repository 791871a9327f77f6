"""Browser sessions: a random secret in an HttpOnly, SameSite=Strict cookie, kept hashed in the database.

Against requests that another site causes: the cookie does not travel with them, the Origin header must name this host, and
each form carries a token derived from the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from argosy.errors import NotAllowed
from argosy_controller.accounts import audit, credentials
from argosy_controller.accounts.passwords import sign_in
from argosy_controller.accounts.roles import Identity
from argosy_controller.accounts.throttle import Throttle
from argosy_controller.parts import Parts

COOKIE = "argosy_session"


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page, and the token that their forms carry."""

    identity: Identity
    form_token: str


def visitor(parts: Parts, request: Request) -> Visitor:
    """Who is signed in.

    Raises:
        NotAllowed: nobody.
    """
    secret = request.cookies.get(COOKIE, "")
    if not secret:
        raise NotAllowed("sign in first")
    with parts.database.read() as session:
        identity = credentials.identify(session, secret, "session", parts.clock())
    return Visitor(identity, credentials.form_token(secret))


def check_form(request: Request, form: FormData) -> None:
    """Checks that a form came from a page of this session.

    Raises:
        NotAllowed: it did not.
    """
    check_origin(request)
    given = form.get("form_token")
    if not isinstance(given, str) or not credentials.form_token_matches(request.cookies.get(COOKIE, ""), given):
        raise NotAllowed("this form is too old: load the page again and send it once more")


def check_origin(request: Request) -> None:
    """Checks that a browser sent this from a page of this very host (RFC 6454; browsers always send Origin with a POST).

    Raises:
        NotAllowed: it did not.
    """
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host", "") or not origin:
        raise NotAllowed("this form was sent from another site: open the dashboard itself and send it there")


def open_session(parts: Parts, throttle: Throttle, request: Request, name: str, password: str) -> str:
    """Signs in and returns the new session's secret.

    Raises:
        NotAllowed: name or password is wrong.
        Unavailable: too many tries; says how long to wait.
    """
    now = parts.clock()
    keys = (f"name:{name[:80]}", f"address:{request.client.host if request.client else ''}")
    throttle.check(keys, now)
    # Counted before it is known: many tries at once must not all pass the check while the first still hashes.
    throttle.failed(keys, now)
    with parts.database.read() as session:
        identity = sign_in(session, name, password)
    throttle.passed(keys)
    with parts.database.write() as session:
        audit.record(session, now, identity.account, "session.open", identity.account)
        return credentials.issue(session, identity.account, "session", now, lifetime_s=credentials.SESSION_S)


def close_session(parts: Parts, request: Request) -> None:
    """Signs out."""
    with parts.database.write() as session:
        credentials.end(session, request.cookies.get(COOKIE, ""))


def set_cookie(answer: Response, request: Request, secret: str) -> None:
    """Gives the browser its session; an empty secret takes it away."""
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(credentials.SESSION_S) if secret else 0,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
