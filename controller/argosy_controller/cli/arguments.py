"""Argument types: texts that are checked before anything is sent."""

from __future__ import annotations

import re
from typing import Any

import click

from argosy.errors import InvalidInput

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Duration(click.ParamType):
    """A time like 10s, 5m, 24h or 7d, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, more than 0.

        Raises:
            InvalidInput: it does not parse.
        """
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < seconds <= 10 * 366 * 86400:
            raise InvalidInput(f"{value!r:.40} is no time: write a number and a unit, for example 30s, 10m, 24h or 7d")
        return seconds


class Stages(click.ParamType):
    """Cumulative shares like 25%,100%, as numbers in (0, 1]."""

    name = "stages"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Ascending shares, the last one 1.

        Raises:
            InvalidInput: it does not parse, does not ascend, or does not end with 100%.
        """
        return value if isinstance(value, list) else parse_stages(str(value))


def parse_stages(text: str) -> list[float]:
    """Parses `25%,100%`.

    Raises:
        InvalidInput: it does not parse, does not ascend, or does not end with 100%.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,3}(?:\.\d+)?%", part) for part in parts):
        raise InvalidInput(f"stages {text!r:.80} do not parse: write ascending shares, for example 25%,100%")
    shares = [float(part[:-1]) / 100 for part in parts]
    if any(a >= b for a, b in zip([0.0, *shares], shares, strict=False)) or shares[-1] != 1.0 or len(shares) > 20:
        raise InvalidInput(f"stages {text!r:.80} must ascend from over 0% and end with 100%, at most 20 of them")
    return shares
