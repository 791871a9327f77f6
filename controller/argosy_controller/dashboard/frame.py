"""What surrounds every page: navigation, who is signed in, notices that concern the whole fleet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import argosy
from argosy_controller.views.format import as_duration
from argosy_controller.views.status import StatusView

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class NavItem:
    """A place to go. `count` draws the eye when it is not 0."""

    href: str
    label: str
    icon: str
    current: bool
    count: int = 0


@dataclass(frozen=True)
class Notice:
    """Something that concerns the whole fleet."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class Frame:
    """Around a page. `flash` answers the form that was just sent."""

    account: str
    form_token: str
    nav: tuple[NavItem, ...]
    notices: tuple[Notice, ...]
    assets: str
    flash: Notice | None = None
    version: str = argosy.__version__


def frame_for(
    account: str, form_token: str, here: str, status: StatusView, ending: dict[str, float], now: float, flash: Notice | None
) -> Frame:
    """The frame of one page; `here` is its section's path."""
    busy = status.rollouts_running + status.rollouts_paused
    nav = (
        NavItem("/", "Fleet", "fleet", here == "/"),
        NavItem("/models", "Models", "models", here == "/models"),
        NavItem("/builds", "Builds", "builds", here == "/builds", status.builds_open),
        NavItem("/rollouts", "Rollouts", "rollouts", here == "/rollouts", busy),
        NavItem("/events", "Events", "events", here == "/events"),
        NavItem("/enrol", "Enrol", "key", here == "/enrol"),
    )
    return Frame(account, form_token, nav, notices_for(status, ending, now), assets_version(), flash)


def notices_for(status: StatusView, ending: dict[str, float], now: float) -> tuple[Notice, ...]:
    """What an operator must know on every page."""
    notices = []
    if status.heard_since is None:
        text = "Devices keep serving; rollouts wait. The controller goes on trying to connect."
        notices.append(Notice("bad", f"The broker ({status.broker}) is not connected.", text))
    if status.lab_mode:
        text = "This controller holds the publishers' key: whoever takes it over can sign models. Use --publisher-key in production."
        notices.append(Notice("warn", "Lab mode.", text))
    for role, ends in sorted(ending.items()):
        text = f"Its signature ends in {as_duration(ends - now)}: sign it again where its key is."
        notices.append(Notice("warn", f"{role} needs a person.", text))
    return tuple(notices)


@cache
def assets_version() -> str:
    """Changes when a static file does, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
