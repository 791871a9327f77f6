"""Enrolment tokens: limited in uses and time; the controller keeps only the sha256 of the secret."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, select, update

from argosy.errors import InvalidInput, NotAllowed
from argosy.names import check_label
from argosy_controller.db.tables import TokenRow

MAX_USES = 1_000_000
MAX_LIFETIME_S = 365 * 86_400.0
_SECRET_BYTES = 24


def create_token(session: Session, uses: int, lifetime_s: float, labels: Mapping[str, str], now: float) -> tuple[str, TokenRow]:
    """Makes a token.

    Args:
        session: of a write transaction.
        uses: how many devices may enrol with it, 1 to 1,000,000.
        lifetime_s: how long, in seconds, at most a year.
        labels: given to every device that enrols with it.
        now: seconds since 1970.

    Returns:
        The secret, which is kept nowhere, and the row.

    Raises:
        InvalidInput: a number out of its range, or an illegal label.
    """
    if not 1 <= uses <= MAX_USES:
        raise InvalidInput(f"a token with {uses} uses is not possible: take 1 to {MAX_USES}")
    if not 0 < lifetime_s <= MAX_LIFETIME_S:
        raise InvalidInput(f"a token cannot live {lifetime_s:g} s: take more than 0 and at most {MAX_LIFETIME_S:.0f} (a year)")
    checked = dict(check_label(key, value) for key, value in labels.items())
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = TokenRow(secret_sha256=_digest(secret), uses=uses, uses_left=uses, expires=now + lifetime_s, created=now, labels=checked)
    session.add(row)
    session.flush()
    return secret, row


def redeem(session: Session, secret: str, now: float) -> TokenRow:
    """Counts one use down, atomically in the database whatever else runs.

    Raises:
        NotAllowed: the token is unknown, expired or used up; the sentence says which.
    """
    left = update(TokenRow).where(col(TokenRow.secret_sha256) == _digest(secret), col(TokenRow.uses_left) > 0, col(TokenRow.expires) > now)
    taken = session.connection().execute(left.values(uses_left=TokenRow.uses_left - 1)).rowcount
    row = find_token(session, secret)
    session.refresh(row)
    if not taken:
        raise _refusal(row, now)
    return row


def find_token(session: Session, secret: str) -> TokenRow:
    """The token of a secret, whether or not it can still be used.

    Raises:
        NotAllowed: it is unknown.
    """
    row = session.exec(select(TokenRow).where(TokenRow.secret_sha256 == _digest(secret))).first()
    if row is None:
        raise NotAllowed("the enrolment token is unknown here: make a new one with 'controller tokens create'")
    return row


def check_usable(row: TokenRow, now: float) -> None:
    """Checks that a token could be redeemed now, without doing it.

    Raises:
        NotAllowed: it is expired or used up.
    """
    if row.uses_left < 1 or row.expires <= now:
        raise _refusal(row, now)


def tokens(session: Session) -> Sequence[TokenRow]:
    """Every token, newest first."""
    return session.exec(select(TokenRow).order_by(col(TokenRow.created).desc())).all()


def _refusal(row: TokenRow, now: float) -> NotAllowed:
    if row.expires <= now:
        return NotAllowed(f"the enrolment token expired {now - row.expires:.0f} s ago: make a new one with 'controller tokens create'")
    return NotAllowed(f"the enrolment token is used up, it was good for {row.uses}: make a new one with 'controller tokens create'")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
