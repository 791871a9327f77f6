"""report.html: a report as one page that asks nobody for anything. Pure: a Report goes in, HTML comes out.

Every text of a report is untrusted: templates escape what they print, control characters are shown as such, and the page
forbids itself scripts and requests.
"""

from __future__ import annotations

import traceback
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from argosy_controller.pipeline.report import Report
from argosy_controller.pipeline.report_page.content import page_of
from argosy_controller.pipeline.report_page.words import visible

PAGE_FILE = "report.html"
#: Nothing from elsewhere, and no script at all: what a hostile label gets into the page stays text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_NOT_DRAWN = "<!doctype html><title>Report</title><p>This report could not be drawn. All its figures are in report.json beside it.\n"
_STYLES = Path(__file__).with_name("templates") / "page.css"


def html(report: Report) -> str:
    """The page: complete, self-contained, the same for the same report."""
    return _environment().get_template("page.html").render(page=page_of(report), policy=POLICY, styles=_styles())


def write_page(folder: Path, report: Report) -> None:
    """Writes report.html beside report.json. A page that cannot be drawn says so: hours of a build are not lost to a picture."""
    try:
        text = html(report)
    except Exception:  # whatever a picture stumbles over; the log gets the story
        traceback.print_exc()
        text = _NOT_DRAWN
    (folder / PAGE_FILE).write_text(text, encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )


def _printed(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _styles() -> Markup:
    return Markup(_STYLES.read_text(encoding="utf-8"))  # noqa: S704 - our own file
