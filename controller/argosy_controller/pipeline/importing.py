"""The front door for ready model files: an ONNX or TFLite file goes in, a bundle comes out. Light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from argosy_controller.pipeline.processes.child import run_job
from argosy_controller.pipeline.processes.limits import IMPORT_LIMITS, Limits
from argosy_controller.pipeline.processes.messages import ImportRequest, Progress


def run_import(
    model: str,
    file: Path,
    sample: Path | None,
    companions: Sequence[Path],
    out: Path,
    on_progress: Callable[[Progress], None],
    seed: int = 0,
    limits: Limits = IMPORT_LIMITS,
) -> Path:
    """Makes a bundle of a ready model; the file is opened only in a child with limits on memory and time.

    Args:
        model: name to register it under.
        file: an ONNX or TFLite model; its content decides which, not its ending.
        sample: npz of real inputs, one array per input name, leading dimension the examples; None makes seeded random
            inputs, which only models with nothing but float inputs allow.
        companions: files that travel with the model (labels, tokenizer, configuration).
        out: folder to make; it must not exist, or be empty.
        on_progress: called in this thread, in order.
        seed: of the random inputs.
        limits: of the child process.

    Returns:
        `out`: report.json, and one variant with card.json, model, probes.npz and companions.

    Raises:
        InvalidInput: no model, a damaged one, or a sample that does not fit; nothing was written.
        Conflict: `out` holds files already.
    """
    request = ImportRequest(
        model=model,
        file=str(file.absolute()),
        sample=str(sample.absolute()) if sample else "",
        companions=[str(one.absolute()) for one in companions],
        out="",
        seed=seed,
    )
    return run_job(request, out, limits, on_progress)
