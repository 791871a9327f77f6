"""report.html holds what others wrote: none of it becomes markup, style, script or a request."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import (
    Baseline,
    Drop,
    Layer,
    Report,
    SearchReport,
    Step,
    Trial,
    VariantReport,
    read_report,
    write_report,
)
from argosy_controller.pipeline.report_page import PAGE_FILE, html, write_page

sys.path.insert(0, str(Path(__file__).parents[3] / "support"))
from rich_report import ATTACKS, hostile_report, rich_report

#: Everything that the templates themselves write; anything else came from a report.
_VOID = {"meta", "link", "br", "img", "input"}
_TAGS = {"html", "head", "meta", "link", "title", "style", "body", "main", "header", "footer", "section", "h1", "h2", "h3", "p"}
_TAGS |= {"dl", "dt", "dd", "div", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "caption", "span", "small", "bdi", "br"}
_TAGS |= {"details", "summary", "figure", "figcaption", "pre", "svg", "g", "path", "line", "rect", "circle", "text"}


class _Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [rich_report(), hostile_report()], ids=["rich", "hostile"])
def test_page_holds_only_the_templates_own_tags_and_no_script(report: Report) -> None:
    seen = _Seen(html(report))
    assert seen.tags <= _TAGS
    assert not {name for name in seen.attributes if name.startswith("on") or name in ("style", "srcdoc", "formaction")}
    assert seen.links == ["data:,"]
    assert seen.open == []


def test_hostile_page_has_the_structure_of_a_good_one() -> None:
    good, bad = _Seen(html(rich_report())), _Seen(html(hostile_report()))
    assert bad.tags == good.tags
    assert bad.attributes == good.attributes


def test_page_forbids_itself_everything_but_its_own_style() -> None:
    page = html(rich_report())
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    assert policy is not None
    assert policy[1].replace("&#39;", "'").split("; ")[:3] == ["default-src 'none'", "style-src 'unsafe-inline'", "img-src data:"]
    assert page.index("Content-Security-Policy") < page.index("<title>") < page.index("<style>")
    assert "http://" not in page and "https://" not in page


def test_hidden_and_turning_characters_become_marks() -> None:
    page = html(hostile_report())
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\x00\x1b]", page)
    assert "\N{REPLACEMENT CHARACTER}" in page


def test_template_syntax_in_a_report_is_not_run() -> None:
    page = html(hostile_report())
    assert "{{ 7 * 7 }}" in page


def test_names_of_10_kilobytes_do_not_blow_up_the_page() -> None:
    assert len(html(hostile_report())) < 4 * len(html(rich_report()))


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_every_attack_is_harmless_as_name_and_summary(attack: str) -> None:
    report = msgspec.structs.replace(
        rich_report(), model=attack, summary=attack, reproduce=attack, interval=attack, lineage={attack: attack}
    )
    seen = _Seen(html(report))
    assert seen.tags <= _TAGS and seen.links == ["data:,"]


def test_page_is_the_same_for_the_same_report() -> None:
    assert html(rich_report()) == html(rich_report())


def test_page_of_an_older_report_without_the_new_parts_is_written(tmp_path: Path) -> None:
    old = b'{"schema":1,"kind":"build","model":"digits","summary":"","variants":[{"name":"onnx-fp32","format":"onnx","precision":"fp32","sha256":"00","bytes":10}]}'
    write_page(tmp_path, read_report(old))
    assert "onnx-fp32" in (tmp_path / PAGE_FILE).read_text()


def test_thousands_of_layers_and_candidates_stay_a_readable_page(tmp_path: Path) -> None:
    report = rich_report()
    assert report.search is not None
    layers = report.variants[1].layers * 1000
    trials = report.search.trials * 200
    variants = [msgspec.structs.replace(one, layers=layers) for one in report.variants[:3]]
    report = msgspec.structs.replace(report, variants=variants, search=msgspec.structs.replace(report.search, trials=trials))
    page = html(report)
    assert len(page) < 2_000_000
    assert "more layers are in report.json" in page and "more are in report.json" in page


@pytest.mark.parametrize("value", [1e308, 1e-308, 0.0, -1.0])
def test_figures_out_of_all_proportion_are_drawn_or_left_out(value: float) -> None:
    report = rich_report()
    accuracy = msgspec.structs.replace(report.variants[0].accuracy, value=value, low=value, high=value)
    odd = msgspec.structs.replace(report.variants[0], accuracy=accuracy, bytes=0)
    assert "<svg" in html(msgspec.structs.replace(report, variants=[odd, *report.variants[1:]]))


FIGURES = st.floats(-1e300, 1e300) | st.floats(-1, 2) | st.sampled_from([0.0, 1.0, 5e-324])
COUNTS = st.integers(-(2**53), 2**53) | st.integers(0, 3)
ACCURACY = st.builds(Accuracy, value=FIGURES, low=FIGURES, high=FIGURES, examples=COUNTS, metric=st.sampled_from(["accuracy", "rmse", ""]))
DROP = st.builds(Drop, value=FIGURES, low=FIGURES, high=FIGURES, examples=COUNTS)
LAYER = st.builds(Layer, sparsity=FIGURES, bits=FIGURES, bytes=COUNTS, error_share=FIGURES | st.none(), accuracy_cost=FIGURES | st.none())
TIMING = st.builds(Timing, p50_us=FIGURES, p99_us=FIGURES)
TRIAL = st.builds(
    Trial,
    number=COUNTS,
    point=st.dictionaries(st.text(max_size=3), FIGURES, max_size=2),
    values=st.dictionaries(st.sampled_from(["accuracy", "bytes", "p50_us", "odd"]), FIGURES),
    state=st.sampled_from(["complete", "failed", "hopeless", ""]),
    seconds=FIGURES,
)
VARIANT = st.builds(
    VariantReport,
    name=st.sampled_from(["a", "b", ""]),
    precision=st.sampled_from(["fp32", "int8"]),
    bytes=COUNTS,
    accuracy=ACCURACY | st.none(),
    drop=DROP | st.none(),
    timings=st.lists(TIMING, max_size=2),
    layers=st.lists(LAYER, max_size=2),
)
GOAL = st.builds(Judgement, variant=st.sampled_from(["a", "b", "c"]), goal=st.sampled_from(["accuracy_at_least", "bytes_at_most", "x", ""]))
SEARCH = st.builds(
    SearchReport, objectives=st.lists(st.sampled_from(["accuracy", "bytes", "odd"])), trials=st.lists(TRIAL, max_size=4), chosen=COUNTS
)
BASELINE = st.builds(Baseline, accuracy=ACCURACY | st.none(), parameters=COUNTS, bytes=COUNTS, macs=COUNTS | st.none())
STEP = st.builds(Step, options=st.just({}), parameters=COUNTS, not_zero=COUNTS, macs=COUNTS | st.none(), seconds=FIGURES)


@settings(max_examples=40)
@given(
    st.builds(
        Report,
        variants=st.lists(VARIANT, max_size=3),
        goals=st.lists(GOAL, max_size=3),
        baseline=BASELINE | st.none(),
        steps=st.lists(STEP, max_size=2),
        search=SEARCH | st.none(),
        lineage=st.just({}),
    )
)
def test_any_figures_that_a_report_can_hold_give_a_page(report: Report) -> None:
    assert _Seen(html(report)).tags <= _TAGS


def test_report_read_back_gives_the_same_page(tmp_path: Path) -> None:
    write_report(tmp_path, rich_report())
    assert html(read_report((tmp_path / "report.json").read_bytes())) == html(rich_report())


def test_page_that_cannot_be_drawn_says_so_and_loses_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbling(report: Report) -> str:
        raise ZeroDivisionError(report.model)

    monkeypatch.setattr("argosy_controller.pipeline.report_page.html", stumbling)
    write_page(tmp_path, rich_report())
    assert "could not be drawn" in (tmp_path / PAGE_FILE).read_text()
