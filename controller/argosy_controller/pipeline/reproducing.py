"""The command that makes a report's files again, with files by their names: folders differ from machine to machine."""

from __future__ import annotations

import shlex
from pathlib import Path

from argosy_controller.pipeline.processes.messages import BuildRequest, ImportRequest


def build_command(request: BuildRequest) -> str:
    """For a shell, quoted; to be run where the task's folder and the recipe lie."""
    words = ["controller", "build", Path(request.task).name, "--recipe", Path(request.recipe).name, "--seed", str(request.seed)]
    words += ["--model", request.model] if request.model else []
    words += ["--from", Path(request.trained).name] if request.trained else []
    words += ["--trust-pickle"] if request.trust_pickle else []
    for key, value in sorted(request.settings.items()):
        words += ["--set", f"{key}={Path(value).name if '/' in value else value}"]
    return shlex.join([*words, "--out", "bundle"])


def import_command(request: ImportRequest) -> str:
    """Likewise for a ready file."""
    words = ["controller", "models", "import", request.model, Path(request.file).name]
    words += ["--sample", Path(request.sample).name] if request.sample else []
    words += ["--recipe", Path(request.recipe).name] if request.recipe else []
    words += ["--trust-pickle"] if request.trust_pickle else []
    for option, values in (("--variant", request.variants), ("--with", [Path(one).name for one in request.companions])):
        words += [word for one in values for word in (option, one)]
    return shlex.join(words)
