"""report.html in a real browser: it asks nobody, fits both widths, and shows what it should, also when its texts are attacks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from argosy_controller.pipeline.report import Report
from argosy_controller.pipeline.report_page import write_page

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from rich_report import hostile_report, rich_report

pytestmark = pytest.mark.integration
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class _Opened:
    """A page with what it asked for and what it said."""

    def __init__(self, browser: Browser, folder: Path, report: Report, width: int, scheme: Any = "light") -> None:
        write_page(folder, report)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.goto((folder / "report.html").as_uri())

    def open_everything(self) -> None:
        self.page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("report", [rich_report(), hostile_report()], ids=["rich", "hostile"])
def test_page_asks_nobody_runs_nothing_and_fits(browser: Browser, tmp_path: Path, report: Report, width: int) -> None:
    opened = _Opened(browser, tmp_path, report, width)
    for _ in range(2):
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        opened.open_everything()
    outside = [url for url in opened.requests if not url.startswith(("file://", "data:"))]
    assert outside == []
    assert opened.said == []
    assert opened.page.locator("script, img, iframe, object, [onload], [onclick]").count() == 0
    opened.page.context.close()


def test_page_says_at_once_what_to_ship_and_what_was_missed(browser: Browser, tmp_path: Path) -> None:
    page = _Opened(browser, tmp_path, rich_report(), 1440).page
    said = page.locator(".verdict").inner_text()
    assert "tflite-int4 misses accuracy at least 95 % by 4.6 points" in said
    box = page.locator(".verdict").bounding_box()
    assert box is not None and box["y"] < 400
    assert page.locator("h2").all_inner_texts() == [
        "Accuracy and size",
        "Accuracy and latency",
        "Variants",
        "Goals",
        "Which classes changed",
        "Layers",
        "Steps",
        "Search",
        "Lineage",
    ]
    slower = page.locator("tr", has_text="onnx-int8").first
    assert "1.43× slower than onnx-fp32" in slower.inner_text()
    assert "controller build speech" in page.locator("pre.copy").inner_text()
    page.context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_labels_of_points_can_be_read(browser: Browser, tmp_path: Path, width: int) -> None:
    page = _Opened(browser, tmp_path, rich_report(), width).page
    boxes = [one.bounding_box() for one in page.locator("svg.plot").first.locator("text.strong").all()]
    assert len(boxes) == 6
    for index, one in enumerate(boxes):
        assert one is not None and one["height"] >= 10 and 0 <= one["x"] <= width
        for other in boxes[:index]:
            assert other is not None
            apart_x = one["x"] + one["width"] <= other["x"] + 1 or other["x"] + other["width"] <= one["x"] + 1
            apart_y = one["y"] + one["height"] <= other["y"] + 4 or other["y"] + other["height"] <= one["y"] + 4
            assert apart_x or apart_y
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(browser: Browser, tmp_path: Path, scheme: str) -> None:
    page = _Opened(browser, tmp_path, rich_report(), 1440, scheme).page
    ground, text = page.evaluate("['backgroundColor','color'].map(name => getComputedStyle(document.body)[name])")
    assert _contrast(ground, text) > 7
    for selector in (".verdict .sentence", ".badge.ok", ".badge.bad", ".sub"):
        tone = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
        assert _contrast(_ground_of(page, selector), tone) > 4.4, selector
    page.context.close()


def _ground_of(page: Page, selector: str) -> str:
    code = "e => { while (getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement; return getComputedStyle(e).backgroundColor }"
    return str(page.locator(selector).first.evaluate(code))


def _contrast(one: str, other: str) -> float:
    """WCAG 2.1, from two `rgb(...)` texts."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_printed_page_is_light_and_shows_what_is_folded(browser: Browser, tmp_path: Path) -> None:
    page = _Opened(browser, tmp_path, rich_report(), 1000, "dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert _luminance(page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor")) > 0.9
    folded = page.locator("details:not([open])").first.locator("p").first
    assert folded.evaluate("one => one.checkVisibility({ contentVisibilityAuto: true }) && one.getBoundingClientRect().height > 0")
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.context.close()
