"""API tokens and browser sessions: 256 random bits each, of which only the sha256 is stored.

A fast hash is enough here: unlike a password, 256 random bits cannot be guessed from their digest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlmodel import Session, col, delete

from argosy.errors import NotAllowed
from argosy_controller.accounts.roles import Identity, role_named
from argosy_controller.db.tables import AccountRow, CredentialRow

SESSION_S = 12 * 3600.0
_PREFIX = {"token": "argosy-token-", "session": "argosy-session-"}


def issue(session: Session, account: str, kind: str, now: float, *, name: str = "", lifetime_s: float | None = None) -> str:
    """Makes a credential and returns its secret, which is never seen again.

    Args:
        session: an open write transaction.
        account: whose it is.
        kind: `token` or `session`.
        now: seconds since 1970.
        name: what it is for, for people.
        lifetime_s: None for ever.
    """
    secret = _PREFIX[kind] + secrets.token_urlsafe(32)
    expires = None if lifetime_s is None else now + lifetime_s
    session.add(CredentialRow(secret_sha256=_digest(secret), account=account, kind=kind, name=name, created=now, expires=expires))
    return secret


def identify(session: Session, secret: str, kind: str, now: float) -> Identity:
    """Who holds this secret.

    Raises:
        NotAllowed: it is unknown, of another kind, or expired.
    """
    found = session.get(CredentialRow, _digest(secret))
    if found is None or found.kind != kind or (found.expires is not None and found.expires <= now):
        raise NotAllowed(f"this {kind} is unknown or has expired: sign in again, or use another token")
    account = session.get(AccountRow, found.account)
    if account is None:
        raise NotAllowed(f"the account of this {kind} no longer exists: use another")
    return Identity(account.name, role_named(account.role), kind)


def end(session: Session, secret: str) -> None:
    """Forgets a credential; unknown ones are ignored."""
    session.exec(delete(CredentialRow).where(col(CredentialRow.secret_sha256) == _digest(secret)))


def forget_expired(session: Session, now: float) -> None:
    """Removes what no longer opens anything."""
    session.exec(delete(CredentialRow).where(col(CredentialRow.expires) <= now))


def form_token(session_secret: str) -> str:
    """The token that forms of a browser session must carry against cross-site requests; derived, so nothing is stored."""
    return hmac.new(session_secret.encode(), b"argosy form token", hashlib.sha256).hexdigest()


def form_token_matches(session_secret: str, given: str) -> bool:
    """Whether a form came from a page of this session."""
    return hmac.compare_digest(form_token(session_secret), given)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
