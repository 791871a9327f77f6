"""Reports of builds and versions, drawn again from their data: what a process of foreign code wrote as HTML is not served.

Names and labels in them are untrusted all the same, so whoever serves a page adds the headers below: no script runs in it,
and it has no origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from sqlmodel import Session

from argosy.errors import ArgosyError, InvalidInput, NotFound
from argosy_controller.jobs import queue
from argosy_controller.jobs.places import Places
from argosy_controller.pipeline.report import Report, read_report
from argosy_controller.views.models import one_version

_MAX_BYTES = 4 << 20
PAGE_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def has_report(document: Mapping[str, Any]) -> bool:
    """Whether a version's report tells more than its card: imports and early versions have none."""
    return document.get("kind") == "build" and bool(document.get("steps"))


def report_of_version(session: Session, model: str, number: int) -> Report:
    """The report that came with a version.

    Raises:
        NotFound: there is no such version, or it has none that can be read.
    """
    document = one_version(session, model, number).report
    try:
        return msgspec.convert(document, Report)
    except msgspec.ValidationError as error:
        raise NotFound(f"{model}@{number} has no report of a build") from error


def report_of_build(session: Session, places: Places, number: int) -> Report:
    """The report of a build on this controller.

    Raises:
        NotFound: there is no such build, or it has no report.
    """
    queue.get(session, number)
    return _read(places.of(number).report, f"build {number}")


def report_html(report: Report) -> str:
    """One self-contained page, to be served with PAGE_HEADERS.

    Raises:
        NotFound: it cannot be drawn.
    """
    from argosy_controller.pipeline.report_page import html

    try:
        return html(report)
    except ArgosyError:
        raise
    except Exception as error:  # its numbers may be anything; the dashboard must go on
        raise NotFound(f"this report cannot be drawn ({type(error).__name__}): see its report.json") from error


def _read(path: Path, what: str) -> Report:
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"{what} has no report: it has not ended, or it failed before there was anything to tell")
    try:
        with path.open("rb") as file:
            return read_report(file.read(_MAX_BYTES + 1))
    except InvalidInput as error:
        raise NotFound(f"the report of {what} is damaged ({error}): build it again") from error
