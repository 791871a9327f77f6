"""The report of a version, in a frame of its own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.views.reports import report_of_version


@dataclass(frozen=True)
class ReportPage:
    """Page data."""

    model: str
    number: int
    title: str
    summary: str


def page(session: Session, model: str, number: int) -> ReportPage:
    """A version's report.

    Raises:
        NotFound: there is no such version, or it has none.
    """
    report = report_of_version(session, model, number)
    return ReportPage(model, number, f"{model}@{number}", report.summary)
