"""Numbers and texts as a report's reader sees them: no more digits than the interval supports, no hidden characters."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import Any

from argosy.protocol.card import Accuracy, Parity
from argosy_controller.pipeline.report import Drop, Report
from argosy_controller.views.format import as_bytes, as_latency, in_percent

NONE = "–"
_LONGEST_TEXT = 2000
_LONGEST_NAME = 60
_MINUS = "\N{MINUS SIGN}"


def visible(text: str) -> str:
    """Text that cannot turn, hide or overrun what stands around it: control, bidi and other invisible characters become marks."""
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text):,} characters)"
    return "".join(
        one if one in "\n\t" or one.isprintable() or unicodedata.category(one) == "Zs" else "\N{REPLACEMENT CHARACTER}" for one in cut
    )


def short(text: str, most: int = _LONGEST_NAME) -> str:
    """A name that fits where names stand."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True)
class Metric:
    """How a metric's numbers are written.

    Attributes:
        percent: it is a share, shown in percent; its differences are points.
        higher_is_better: False for errors.
    """

    name: str
    percent: bool
    higher_is_better: bool

    def score(self, value: float, half_width: float) -> str:
        """A value with as many digits as an interval of that half width supports."""
        if self.percent:
            return f"{_number(100 * value, digits(100 * half_width))} %"
        return _number(value, digits(half_width))

    def measured(self, one: Accuracy) -> str:
        """The value alone."""
        return self.score(one.value, (one.high - one.low) / 2)

    def interval(self, one: Accuracy | Drop) -> str:
        """`96.2 to 98.6`, in the unit of the value."""
        factor = 100 if self.percent else 1
        places = digits(factor * (one.high - one.low) / 2)
        return f"{_number(factor * one.low, places)} to {_number(factor * one.high, places)}"

    def difference(self, value: float, half_width: float) -> str:
        """A difference of two values: `0.3 points`."""
        if self.percent:
            return f"{_number(100 * value, digits(100 * half_width))} points"
        return _number(value, digits(half_width))

    def dropped(self, one: Drop) -> str:
        """How much was lost."""
        return self.difference(one.value, (one.high - one.low) / 2)


def metric_of(report: Report) -> Metric:
    """The report's metric; accuracy where nothing was measured."""
    found = [one.accuracy for one in report.variants if one.accuracy] + [report.baseline.accuracy if report.baseline else None]
    name = next((one.metric for one in found if one), "accuracy")
    return Metric(short(name, 24), in_percent(name), all(one.higher_is_better for one in found if one))


def digits(half_width: float) -> int:
    """Decimals whose last one is at most a third of the half width, 0 to 4; 1 where there is no width.

    Examples:
        >>> digits(1.2), digits(0.2), digits(14.0)
        (1, 2, 0)
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return 1
    return min(max(math.ceil(-math.log10(half_width / 3)), 0), 4)


def _number(value: float, places: int) -> str:
    rounded = f"{value:,.{places}f}"
    if float(rounded.replace(",", "")) == 0:
        rounded = rounded.removeprefix("-")
    return rounded.replace("-", _MINUS)


def signed(value: float, text: str) -> str:
    """A text of a magnitude with the sign of the value."""
    return f"+{text}" if value > 0 else text


def latency(microseconds: float) -> str:
    """For example `812 µs`."""
    return as_latency(microseconds * 1000)


def count(value: float | None) -> str:
    """For example `12.3 k`, `4.2 M`; a dash for nothing."""
    if value is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.1f} {unit}" if scaled >= 10 else f"{scaled:.2f} {unit}"
    return f"{value:g}"


def share(value: float) -> str:
    """For example `97 %`; small ones with one decimal."""
    return f"{100 * value:.0f} %" if value in (0, 1) or 0.1 <= abs(value) <= 0.95 else f"{100 * value:.1f} %".replace("-", _MINUS)


def times(ratio: float) -> str:
    """For example `3.4×`."""
    return f"{ratio:.0f}×" if ratio >= 20 else f"{ratio:.1f}×" if ratio >= 1.995 else f"{ratio:.2f}×"


def option(value: Any) -> str:
    """An option's value."""
    return f"{value:g}" if isinstance(value, float) else short(str(value), 120)


def options(values: dict[str, Any]) -> str:
    """`share = 0.5, multiple_of = 4`."""
    return ", ".join(f"{short(key, 40)} = {option(value)}" for key, value in values.items())


def seconds(value: float) -> str:
    """For example `0.4 s`, `12 s`, `3.5 min`."""
    if value >= 120:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def objective(name: str, value: float, metric: Metric, half_width: float = 0.001) -> str:
    """A measured value of a search's objective, or of a goal; `half_width`: of its interval, for what has one."""
    if name.startswith("bytes"):
        return as_bytes(value)
    if name.endswith("_us") or "_us_" in name:
        return latency(value)
    if "drop" in name:
        return metric.difference(value, half_width)
    return metric.score(value, half_width) if of_metric(name, metric) else count(value)


def of_metric(name: str, metric: Metric) -> bool:
    """Whether a goal or an objective is in the metric's unit."""
    return "drop" in name or name.startswith(("accuracy", "metric", "error", metric.name))


def target(name: str, value: float, metric: Metric) -> str:
    """What a goal asks for, with the digits that its author wrote."""
    if of_metric(name, metric):
        factor, unit = (100, " points" if "drop" in name else " %") if metric.percent else (1, "")
        return f"{factor * value:.6g}{unit}"
    return round_text(objective(name, value, metric))


def parity(found: Parity) -> str:
    """How a file's answers are beside its model's, in a line."""
    if not found.verified_by:
        return f"not verified here: {found.reason.removeprefix('not verified here: ').removeprefix('not measured here: ')}"
    same = f"the same class for {share(found.agreement)}, " if found.agreement is not None else ""
    off = f"largest difference {found.max_abs_diff:.2g}" if found.max_abs_diff is not None else "no numbers to compare"
    ran = " and ".join(short(one, 40) for one in found.verified_by[:4])
    return f"beside {short(found.source, 40)} on {count(found.examples)} inputs: {same}{off} ({ran}){'; ' + found.reason if found.reason else ''}"


def round_text(text: str) -> str:
    """A round value without the zeros behind its point: `20 kB` for `20.0 kB`.

    Examples:
        >>> round_text("20.0 kB"), round_text("1.50 ms"), round_text("100 kB")
        ('20 kB', '1.5 ms', '100 kB')
    """
    number, space, unit = text.partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{space}{unit}"
