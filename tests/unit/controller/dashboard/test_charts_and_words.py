"""Charts stay inside their frames whatever was measured; templates use what pages declare."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import argosy_controller.dashboard
from argosy.histogram import Histogram
from argosy_controller.dashboard import charts
from argosy_controller.dashboard.pages import (
    build,
    builds,
    device,
    enrol,
    events,
    fleet,
    model,
    models,
    patterns,
    report,
    rollout,
    rollouts,
)
from argosy_controller.views.latency import Moment

TEMPLATES = Path(argosy_controller.dashboard.__file__).parent / "templates"
PAGES = {
    "build": (build, build.BuildPage),
    "builds": (builds, builds.BuildsPage),
    "device": (device, device.DevicePage),
    "enrol": (enrol, enrol.EnrolPage),
    "events": (events, events.EventsPage),
    "fleet": (fleet, fleet.FleetPage),
    "model": (model, model.ModelPage),
    "models": (models, models.ModelsPage),
    "patterns": (patterns, patterns.PatternsPage),
    "report": (report, report.ReportPage),
    "rollout": (rollout, rollout.RolloutPage),
    "rollouts": (rollouts, rollouts.RolloutsPage),
}
values = st.lists(st.integers(1, 10**12), max_size=50)


def _histogram(recorded: list[int]) -> Histogram:
    result = Histogram()
    for value in recorded:
        result.record(value)
    return result


def _numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


@given(values, values)
def test_density_stays_inside_its_frame(before: list[int], after: list[int]) -> None:
    chart = charts.density(_histogram(before), _histogram(after))
    assert (chart is None) == (not before and not after)
    for curve in (chart.before, chart.after) if chart else ():
        if curve is not None:
            numbers = _numbers(curve.area)
            assert all(0 <= x <= charts.WIDTH for x in numbers[::2])
            assert chart is not None and all(0 <= y <= chart.height for y in numbers[1::2])


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 10**12), st.integers(0, 10**6)), min_size=2, max_size=40),
    st.dictionaries(st.floats(-10, 110), st.just("swapped"), max_size=5),
)
def test_lines_stay_inside_their_frame(measured: list[tuple[float, int, int]], changes: dict[float, str]) -> None:
    moments = [Moment(at, float(p50), float(p50 + more)) for at, p50, more in sorted(measured)]
    chart = charts.lines(moments, 0.0, 100.0, changes)
    assert chart is not None
    assert all(0 <= mark.x <= chart.width for mark in chart.marks)
    for path in (chart.p50, chart.p95):
        assert all(0 <= number <= max(chart.width, chart.height) for number in _numbers(path))


@given(st.dictionaries(st.sampled_from(["confirmed", "told", "lost"]), st.integers(0, 10**6)))
def test_split_bar_fills_exactly_what_there_is(counts: dict[str, int]) -> None:
    segments = charts.split(counts)
    assert sum(one.count for one in segments) == sum(counts.values())
    assert not segments or abs(sum(one.width for one in segments) - 100) < 0.1


@given(st.floats(1, 1e12), st.floats(1.01, 1e6), st.integers(2, 8))
def test_ticks_lie_inside_the_range(low: float, ratio: float, most: int) -> None:
    assert all(low <= value <= low * ratio for value in charts.nice_values(low, low * ratio, most))


def test_slower_devices_are_told_apart() -> None:
    chart = charts.pairs([("faster", 9e5, 6e5), ("slower", 9e5, 2e6), ("new", None, 5e5)])
    assert chart is not None
    assert [(row.name, row.slower, row.ratio) for row in chart.rows] == [
        ("faster", False, "0.67×"),
        ("slower", True, "2.22×"),
        ("new", False, ""),
    ]


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_exactly_what_it_declares(name: str) -> None:
    _, page = PAGES[name]
    used = set(re.findall(r"\bpage\.(\w+)", (TEMPLATES / f"{name}.html").read_text()))
    assert used == {one.name for one in fields(page)}


@pytest.mark.parametrize("name", PAGES)
def test_page_data_is_frozen(name: str) -> None:
    module, _ = PAGES[name]
    assert isinstance(module, ModuleType)
    declared = [one for one in vars(module).values() if isinstance(one, type) and is_dataclass(one) and one.__module__ == module.__name__]
    assert declared and all(one.__dataclass_params__.frozen for one in declared)  # type: ignore[attr-defined]


def test_every_page_has_a_template_and_every_template_a_page() -> None:
    frames = {"base", "parts", "login", "broken"}
    assert {path.stem for path in TEMPLATES.glob("*.html")} - frames == set(PAGES)
