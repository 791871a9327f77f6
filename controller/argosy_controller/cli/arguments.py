"""Argument types: texts that are checked before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from argosy_controller.texts import parse_duration, parse_size, parse_stages


class Duration(click.ParamType[float]):
    """A time like 10s, 5m, 24h or 7d, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See parse_duration."""
        return value if isinstance(value, float) else parse_duration(str(value))


class Size(click.ParamType[int]):
    """A size like 512MiB, 16GiB, 8GB or 0, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See parse_size."""
        return value if isinstance(value, int) else parse_size(str(value))


class Stages(click.ParamType[list[float]]):
    """Cumulative shares like 25%,100%, as numbers in (0, 1]."""

    name = "stages"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """See parse_stages."""
        return value if isinstance(value, list) else parse_stages(str(value))


class TaskFolder(click.ParamType[Path]):
    """A task's folder, by its path or as zoo:NAME."""

    name = "task"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """See argosy_controller.zoo.task_folder."""
        from argosy_controller.zoo import task_folder

        return task_folder(value)
