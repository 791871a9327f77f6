"""The front door for suggestions: a task goes in, the text of a first recipe comes out. Light to import: the user's code runs in a child."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from argosy_controller.pipeline.processes.child import run_job
from argosy_controller.pipeline.processes.limits import SUGGEST_LIMITS, Limits
from argosy_controller.pipeline.processes.messages import Aim, Progress, SuggestRequest

_MOST_BYTES = 1 << 16


def run_suggest(
    task: Path, settings: Mapping[str, str], aim: Aim, seed: int, on_progress: Callable[[Progress], None], limits: Limits = SUGGEST_LIMITS
) -> str:
    """Looks at a task's data and model, and writes a recipe for it.

    Args:
        task: folder with the task.py.
        aim: what matters most.

    Raises:
        NotFound, InvalidInput: there is no such task, or it is wrong.
        ArgosyError: the child crashed or ran out of its limits.
    """
    request = SuggestRequest(task=str(task.absolute()), settings=dict(settings), aim=aim, seed=seed, out="")
    with tempfile.TemporaryDirectory(prefix="argosy-suggest-") as folder:
        out = run_job(request, Path(folder) / "suggestion", limits, on_progress)
        with (out / "recipe.toml").open("rb") as file:
            return file.read(_MOST_BYTES).decode()
