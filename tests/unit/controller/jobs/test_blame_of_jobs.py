"""How a job's process tells what ended it: what ran out is named as that, whoever wrapped it."""

from __future__ import annotations

import errno

import pytest

from argosy.errors import GoalsNotMet, InvalidInput
from argosy_controller.pipeline.processes.blame import failed


def wrapped(cause: Exception) -> Exception:
    """As `blaming` wraps what a user's line raised."""
    try:
        raise InvalidInput("training of task 'digits' failed (task.py line 7)") from cause
    except InvalidInput as error:
        return error


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    ("cause", "kind", "sentence"),
    [
        (MemoryError(), "invalid-input", "needs more memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), "invalid-input", "needs more memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "invalid-input", "needs more memory"),
        (OSError(errno.ENOSPC, "No space left", "/data/fleet/model.onnx"), "unavailable", "the disk is full, so model.onnx could not"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "unavailable", "the disk quota is used up, so its files could not"),
        (OSError(errno.EFBIG, "File too large", "model.onnx"), "unavailable", "model.onnx grew over what a file of a job may hold"),
    ],
)
def test_what_ran_out_is_named(cause: Exception, kind: str, sentence: str, wrap: bool) -> None:
    told = failed(wrapped(cause) if wrap else cause)
    assert told.kind == kind and sentence in told.text


def test_own_errors_keep_their_kind_and_words() -> None:
    assert (failed(GoalsNotMet("by 3 %")).kind, failed(GoalsNotMet("by 3 %")).text) == ("goals-not-met", "by 3 %")
    assert failed(wrapped(ValueError("x"))).text == "training of task 'digits' failed (task.py line 7)"


def test_defect_is_a_sentence_for_people_and_a_story_for_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("weights")
    except KeyError as error:
        told = failed(error)
    assert told.kind == "internal" and told.text.startswith("the job failed: KeyError: 'weights' (test_blame_of_jobs.py line ")
    assert "Traceback" in capsys.readouterr().err
