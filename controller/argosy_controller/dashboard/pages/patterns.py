"""Every component with made-up numbers: what a change of style is looked at on."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.histogram import Histogram
from argosy_controller.dashboard.charts import Density, Lines, Pairs, Segment, density, lines, pairs, split
from argosy_controller.dashboard.pages.model import Interval
from argosy_controller.dashboard.words import Age, Badge, EventLine, Tile, age
from argosy_controller.views.latency import Moment

_NOW = 1_800_000_000.0


@dataclass(frozen=True)
class PatternsPage:
    """Page data."""

    tiles: tuple[Tile, ...]
    badges: tuple[Badge, ...]
    age: Age
    density: Density | None
    lines: Lines | None
    pairs: Pairs | None
    interval: Interval
    segments: tuple[Segment, ...]
    events: tuple[EventLine, ...]


def page() -> PatternsPage:
    """Made up, and the same every time."""
    ten_seconds_ago = age(_NOW - 10, _NOW)
    moments = [Moment(_NOW - 900 + 15 * i, 8e5 + 1e5 * (i % 5), 1.4e6 + 2e5 * (i % 7) + (9e5 if i > 40 else 0)) for i in range(60)]
    return PatternsPage(
        tiles=(
            Tile("Devices online", "3", "1 offline", "of 4"),
            Tile("Latency p95", "1.24 ms", "p50 812 µs"),
            Tile("Refusals", "2", "in 24 h", tone="warn"),
        ),
        badges=tuple(
            Badge(text, tone)
            for text, tone in (("ok", "ok"), ("busy", "busy"), ("info", "info"), ("warn", "warn"), ("bad", "bad"), ("neutral", ""))
        ),
        age=ten_seconds_ago,
        density=density(_bell(9e5), _bell(6e5)),
        lines=lines(moments, _NOW - 900, _NOW, {_NOW - 290: "swapped"}),
        pairs=pairs((("pi-1", 9e5, 6e5), ("pi-2", 1.1e6, 2.4e6), ("pi-3", 8e5, None))),
        interval=Interval(30.0, 52.0, 74.0, "accuracy 97.2 %, 95 % interval 96.1 % to 98.3 %"),
        segments=split({"confirmed": 5, "told": 2, "went_back": 1, "lost": 1, "excluded": 1}),
        events=(
            EventLine(ten_seconds_ago, "pi-1", Badge("confirmed", "ok"), "digits@2 onnx-int8 serves and passed its health window"),
            EventLine(ten_seconds_ago, "", Badge("refused", "bad"), "the desired document is not signed by this fleet's director key"),
        ),
    )


def _bell(middle: float) -> Histogram:
    result = Histogram()
    for step in range(-40, 41):
        result.record(int(middle * 2 ** (step / 40)), times=max(1, int(100 * 2 ** (-((step / 14) ** 2)))))
    return result
