"""Times, sizes and stages as people write them: the same in command line and dashboard."""

from __future__ import annotations

import re

from argosy.errors import InvalidInput

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", re.ASCII)
_SHARE = re.compile(r"\d{1,3}(?:\.\d{1,6})?%", re.ASCII)
_LONGEST_S = 10 * 366 * 86400.0
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)
_SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MOST_STAGES = 20


def parse_duration(text: str) -> float:
    """Parses a time like 10s, 5m, 24h or 7d into seconds, more than 0 and at most ten years.

    Raises:
        InvalidInput: it does not parse.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidInput(f"{text!r:.40} is no time: write a number and a unit, for example 30s, 10m, 24h or 7d")
    return seconds


def parse_size(text: str) -> int:
    """Parses a size like 512MiB, 16GiB or 8GB into bytes; `0` is 0.

    Raises:
        InvalidInput: it does not parse.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None and text.strip() != "0":
        raise InvalidInput(f"{text!r:.40} is no size: write a number and a unit, for example 512MiB or 16GiB, or 0")
    return round(float(match[1]) * _SIZES[match[2]]) if match else 0


def parse_stages(text: str) -> list[float]:
    """Parses cumulative shares like `25%,100%` into numbers in (0, 1].

    Raises:
        InvalidInput: it does not parse, does not ascend, or does not end with 100%.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(_SHARE.fullmatch(part) for part in parts):
        raise InvalidInput(f"stages {text!r:.80} do not parse: write ascending shares, for example 25%,100%")
    shares = [float(part[:-1]) / 100 for part in parts]
    if any(a >= b for a, b in zip([0.0, *shares], shares, strict=False)) or shares[-1] != 1.0 or len(shares) > MOST_STAGES:
        raise InvalidInput(f"stages {text!r:.80} must ascend from over 0% and end with 100%, at most {MOST_STAGES} of them")
    return shares
