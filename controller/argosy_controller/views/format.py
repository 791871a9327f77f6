"""Numbers as people read them: always with a unit, times as ages."""

from __future__ import annotations

import time

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def as_bytes(count: float) -> str:
    """For example `51.3 kB` (powers of 1000)."""
    for unit in _BYTE_UNITS:
        if count < 1000 or unit == _BYTE_UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def as_latency(nanoseconds: float | None) -> str:
    """For example `812 µs`, `4.1 ms`; a dash for nothing."""
    if nanoseconds is None:
        return "–"
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}" if value >= 10 else f"{value:.2f} {unit}"
    return f"{nanoseconds:.0f} ns"


def as_duration(seconds: float) -> str:
    """For example `12 s`, `3 min`, `5 h`, `2 d`."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def as_age(at: float, now: float) -> str:
    """For example `12 s ago`; `never` for 0."""
    return "never" if at <= 0 else f"{as_duration(now - at)} ago"


def as_labels(labels: dict[str, str]) -> str:
    """For example `site=lab, tier=a`."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "–"


def as_time(at: float) -> str:
    """Time of day, UTC, for example `14:03`."""
    return time.strftime("%H:%M", time.gmtime(at))


def as_moment(at: float) -> str:
    """Date and time, UTC, for example `2026-11-24 14:03:05`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def as_share(share: float) -> str:
    """For example `97.2 %`."""
    return f"{100 * share:.1f} %"


def in_percent(metric: str) -> bool:
    """Whether a metric is a share of right answers, by its name; others (rmse, auc) are told as the numbers that they are."""
    return "accuracy" in metric.lower() or metric.lower().startswith("top")


def as_metric(metric: str, value: float) -> str:
    """For example `97.2 %`, and `53.41` for an rmse."""
    return as_share(value) if in_percent(metric) else f"{value:.4g}"


def as_count(count: int) -> str:
    """For example `12,480`."""
    return f"{count:,}"
