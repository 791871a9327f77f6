"""Enrolment tokens as operators see them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy_controller.db.tables import TokenRow


@dataclass(frozen=True)
class NewTokenView:
    """A token that was just made; the line is shown this once."""

    line: str
    expires: float
    uses: int
    labels: dict[str, str]


@dataclass(frozen=True)
class TokenView:
    """A token without its secret."""

    token: int
    labels: dict[str, str]
    uses: int
    uses_left: int
    created: float
    expires: float


def list_tokens(session: Session) -> list[TokenView]:
    """All tokens that were made, newest first."""
    rows = session.exec(select(TokenRow).order_by(col(TokenRow.id).desc()).limit(200))
    return [TokenView(row.id or 0, dict(row.labels), row.uses, row.uses_left, row.created, row.expires) for row in rows]
