"""Latency as devices measured it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from argosy_controller.db.tables import WindowRow
from argosy_controller.views.latency import sum_of

#: At most so many windows are merged for one answer, the newest ones.
MOST_WINDOWS = 50_000


@dataclass(frozen=True)
class LatencyQuery:
    """Which windows, and what a line stands for: `version`, `variant` or `device`. `since`: seconds since 1970."""

    model: str | None = None
    version: int | None = None
    device: str | None = None
    by: str = "variant"
    since: float | None = None


@dataclass(frozen=True)
class LatencyView:
    """One line. `variant` and `device` are empty where the line is over all of them. Percentiles in nanoseconds, None without requests."""

    model: str
    version: int
    variant: str
    device: str
    windows: int
    requests: int
    errors: int
    p50_ns: float | None
    p95_ns: float | None
    p99_ns: float | None
    first: float
    last: float


def latency(session: Session, query: LatencyQuery) -> list[LatencyView]:
    """Percentiles per version, variant or device; newest versions first."""
    groups: dict[tuple[str, int, str, str], list[WindowRow]] = {}
    for row in windows(session, query):
        key = (row.model, row.version, row.variant if query.by != "version" else "", row.device if query.by == "device" else "")
        groups.setdefault(key, []).append(row)
    return [_line(*key, groups[key]) for key in sorted(groups, key=lambda key: (key[0], -key[1], key[2], key[3]))]


def windows(session: Session, query: LatencyQuery) -> Iterable[WindowRow]:
    """The windows of a query, newest first, bounded."""
    statement = select(WindowRow).order_by(col(WindowRow.start).desc()).limit(MOST_WINDOWS)
    for column, value in ((WindowRow.model, query.model), (WindowRow.version, query.version), (WindowRow.device, query.device)):
        if value is not None:
            statement = statement.where(col(column) == value)
    if query.since is not None:
        statement = statement.where(col(WindowRow.start) >= query.since)
    return session.exec(statement)


def _line(model: str, version: int, variant: str, device: str, rows: list[WindowRow]) -> LatencyView:
    histogram = sum_of(rows)
    return LatencyView(
        model=model,
        version=version,
        variant=variant,
        device=device,
        windows=len(rows),
        requests=sum(row.requests for row in rows),
        errors=sum(row.errors for row in rows),
        p50_ns=histogram.quantile(0.5),
        p95_ns=histogram.quantile(0.95),
        p99_ns=histogram.quantile(0.99),
        first=min(row.start for row in rows),
        last=max(row.start + row.duration_s for row in rows),
    )
