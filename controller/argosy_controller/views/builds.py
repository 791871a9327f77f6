"""Builds as operators see them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session

from argosy_controller.db.tables import BuildRow
from argosy_controller.jobs import queue
from argosy_controller.jobs.places import Places

LOG_BYTES = 64 << 10


@dataclass(frozen=True)
class BuildView:
    """A build. Times in seconds since 1970.

    Attributes:
        state: queued, running, succeeded, failed or cancelled.
        reason: why it failed, was cancelled, or what is left to do.
        error: kind of the error when it failed, as problem documents name it.
        stage, done, total: what is being done, and how far that is.
        left_s: seconds that this stage will take yet, by its pace so far; None while nothing can be said.
        version: number of the registered version, 0 for none.
        report: whether report.json is kept here; page: report.html; fetchable: the variants too, not registered.
    """

    build: int
    state: str
    reason: str
    error: str
    task: str
    recipe: str
    model: str
    seed: int
    settings: dict[str, str]
    cached: bool
    stage: str
    done: int
    total: int
    left_s: float | None
    version: int
    report: bool
    page: bool
    fetchable: bool
    created: float
    created_by: str
    started: float | None
    ended: float | None


@dataclass(frozen=True)
class LogView:
    """The end of what a build printed."""

    text: str
    bytes: int


def list_builds(session: Session, places: Places, now: float, limit: int = 50) -> list[BuildView]:
    """Builds, newest first."""
    return [build_view(row, places, now) for row in queue.newest(session, limit)]


def one_build(session: Session, places: Places, number: int, now: float) -> BuildView:
    """One build.

    Raises:
        NotFound: there is none of that number.
    """
    return build_view(queue.get(session, number), places, now)


def build_view(row: BuildRow, places: Places, now: float) -> BuildView:
    """A row for people."""
    place = places.of(row.id or 0)
    return BuildView(
        build=row.id or 0,
        state=row.state,
        reason=row.reason,
        error=row.error_kind,
        task=row.task,
        recipe=row.recipe.partition("/")[2],
        model=row.model,
        seed=row.seed,
        settings=dict(row.settings),
        cached=row.cached,
        stage=row.stage,
        done=row.done,
        total=row.total,
        left_s=time_left(row.stage_began, now, row.done, row.total) if row.state == "running" else None,
        version=row.version,
        report=place.report.is_file(),
        page=place.page.is_file(),
        fetchable=row.state == "succeeded" and place.variants.is_dir(),
        created=row.created,
        created_by=row.created_by,
        started=row.started,
        ended=row.ended,
    )


def time_left(began: float, now: float, done: int, total: int) -> float | None:
    """Seconds until `total`, at the pace from `began` until `now`; None before the first step and after the last."""
    if not 0 < done < total or now <= began:
        return None
    return (now - began) / done * (total - done)


def log_tail(session: Session, places: Places, number: int) -> LogView:
    """The end of what a build printed.

    Raises:
        NotFound: there is no such build.
    """
    queue.get(session, number)
    text, size = _tail(places.of(number).log)
    return LogView(text, size)


def _tail(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - LOG_BYTES))
            return file.read(LOG_BYTES).decode("utf-8", "replace"), size
    except FileNotFoundError:
        return "", 0
