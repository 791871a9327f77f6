"""The front door for builds: a task and a recipe go in, a bundle comes out. Light to import: the work runs in a child."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from argosy_controller.pipeline.processes.child import Surroundings, run_job
from argosy_controller.pipeline.processes.limits import BUILD_LIMITS, Limits
from argosy_controller.pipeline.processes.messages import BuildRequest, Progress


def run_build(
    task: Path,
    recipe: Path,
    out: Path,
    model: str | None,
    settings: Mapping[str, str],
    seed: int,
    on_progress: Callable[[Progress], None],
    limits: Limits = BUILD_LIMITS,
    cache: Path | None = None,
    around: Surroundings | None = None,
    trained: Path | None = None,
    trust_pickle: bool = False,
) -> Path:
    """Trains or loads, compresses, converts and measures a task's model.

    Args:
        task: folder with the task.py that describes the model and its data.
        recipe: TOML file with goals, passes and variants.
        out: folder to make; it must not exist, or be empty.
        model: name to build under; None takes the task's own.
        settings: values for the settings that the task declares ("mnist": "data").
        seed: of everything random; the same seed gives the same bytes on the same machine, threads and packages.
        on_progress: called in this thread, in order.
        limits: of the child process.
        around: environment, folder and log of the child process; None shares the caller's.
        cache: folder of results that were computed before; None computes everything (argosy_controller.pipeline.caching.cache).
        trained: file with a trained model: safetensors, .pt2, TorchScript or ONNX; None trains the task's model.
        trust_pickle: open `trained` even if it is a Python pickle, which can run any code.

    Returns:
        `out`: report.json, and variants/NAME/ with card.json, model, probes.npz.

    Raises:
        InvalidInput: task, recipe or settings are wrong; nothing was written.
        Conflict: `out` holds files already.
        GoalsNotMet: the table is in the message, the figures in `out`/report.json; no variants are left there.
        ArgosyError: the child crashed or ran out of its limits.
    """
    request = BuildRequest(
        task=str(task.absolute()),
        recipe=str(recipe.absolute()),
        out="",
        model=model or "",
        settings=dict(settings),
        seed=seed,
        cache=str(cache.absolute()) if cache else "",
        trained=str(trained.absolute()) if trained else "",
        trust_pickle=trust_pickle,
    )
    return run_job(request, out, limits, on_progress, around)
