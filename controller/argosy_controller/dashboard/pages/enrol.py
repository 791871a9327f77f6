"""Tokens with which devices enrol."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.words import Age, Badge, age, label_texts
from argosy_controller.views.format import as_duration
from argosy_controller.views.tokens import NewTokenView, TokenView, list_tokens


@dataclass(frozen=True)
class TokenLine:
    """A token without its secret."""

    number: int
    labels: tuple[str, ...]
    badge: Badge
    uses: str
    created: Age
    expires: str


@dataclass(frozen=True)
class EnrolPage:
    """Page data. `line` is a token that was just made, shown this once."""

    tokens: tuple[TokenLine, ...]
    device_api: str
    line: str


def page(session: Session, now: float, device_api: str, made: NewTokenView | None = None) -> EnrolPage:
    """Tokens, newest first."""
    return EnrolPage(tuple(_token(one, now) for one in list_tokens(session)), device_api, made.line if made else "")


def _token(one: TokenView, now: float) -> TokenLine:
    badge = Badge("expired", "") if one.expires <= now else Badge("used up", "") if one.uses_left < 1 else Badge("open", "ok")
    expires = f"in {as_duration(one.expires - now)}" if one.expires > now else age(one.expires, now).text
    return TokenLine(one.token, label_texts(one.labels), badge, f"{one.uses - one.uses_left} of {one.uses}", age(one.created, now), expires)
