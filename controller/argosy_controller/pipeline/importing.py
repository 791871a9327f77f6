"""The front door for ready model files: an ONNX or TFLite file goes in, a bundle comes out. Light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from argosy_controller.pipeline.processes.child import run_job
from argosy_controller.pipeline.processes.limits import CONVERSION_LIMITS, IMPORT_LIMITS, Limits
from argosy_controller.pipeline.processes.messages import ImportRequest, Progress
from argosy_controller.pipeline.sources.kinds import is_estimator


def run_import(
    model: str,
    file: Path,
    sample: Path | None,
    companions: Sequence[Path],
    out: Path,
    on_progress: Callable[[Progress], None],
    seed: int = 0,
    limits: Limits | None = None,
    *,
    variants: Sequence[str] = (),
    recipe: Path | None = None,
    trust_pickle: bool = False,
) -> Path:
    """Makes a bundle of a ready model; the file is opened only in a child with limits on memory and time.

    Args:
        model: name to register it under.
        file: an ONNX or TFLite model, or an estimator of scikit-learn (skops); its content decides which, not its ending.
        sample: npz of real inputs, one array per input name, leading dimension the examples; None makes seeded random
            inputs, which only models with nothing but float inputs allow.
        companions: files that travel with the model (labels, tokenizer, configuration).
        out: folder to make; it must not exist, or be empty.
        on_progress: called in this thread, in order.
        seed: of the random inputs.
        limits: of the child process; None takes IMPORT_LIMITS, or CONVERSION_LIMITS where something is converted.
        variants: to make of the file, by their names in recipes (`onnx-int8`, `tflite-fp32`); needs a sample. With none and no
            recipe an ONNX or TFLite file is taken as it is, and an estimator becomes `onnx-fp32` and `tflite-fp32`.
        recipe: passes that take graphs or estimators, variants, goals of size and latency.
        trust_pickle: open an estimator even if it is a Python pickle, which can run any code.

    Returns:
        `out`: report.json, and for each variant a folder with card.json, model, probes.npz and companions.

    Raises:
        InvalidInput: no model, a damaged one, one that does not convert, or a sample that does not fit; nothing was written.
        GoalsNotMet: report.json was written.
        Conflict: `out` holds files already.
    """
    request = ImportRequest(
        model=model,
        file=str(file.absolute()),
        sample=str(sample.absolute()) if sample else "",
        companions=[str(one.absolute()) for one in companions],
        out="",
        seed=seed,
        variants=list(variants),
        recipe=str(recipe.absolute()) if recipe else "",
        trust_pickle=trust_pickle,
    )
    as_it_is = not variants and recipe is None and not is_estimator(file, trust_pickle)
    if not as_it_is:
        from argosy_controller.pipeline.import_wishes import check_wishes  # knows all exporters, which are slow to load

        check_wishes(request)
    return run_job(request, out, limits or (IMPORT_LIMITS if as_it_is else CONVERSION_LIMITS), on_progress)
