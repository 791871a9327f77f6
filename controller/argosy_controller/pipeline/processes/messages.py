"""What a job's child process and its parent say to each other: one JSON object a line, over a pipe of their own.

The child's standard output is not used for this: conversion libraries print there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

#: What a suggested recipe should be good for.
Aim = Literal["size", "speed", "accuracy"]


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """How far a job is.

    Attributes:
        stage: what is being done, in words a person reads ("train", "prune-channels", "export onnx-int8").
        done: finished steps of this stage.
        total: steps of this stage, at least 1; the stage is complete when `done` equals it.
    """

    stage: str
    done: int
    total: int


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The job did what it was asked; its files are complete."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The job ended with an error: `kind` as in argosy.errors, `text` for people, `facts` for callers."""

    kind: str
    text: str
    facts: dict[str, Any] = {}


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True, tag="build"):
    """Build a task's folder by a recipe into an empty folder.

    Attributes:
        model: empty takes the task's own name.
        cache: folder of results that were computed before (argosy_controller.pipeline.caching.cache); empty uses none.
        trained: file with a trained model (argosy_controller.pipeline.sources); empty trains the task's.
        trust_pickle: open that file even if it is a Python pickle.
    """

    task: str
    recipe: str
    out: str
    model: str
    settings: dict[str, str]
    seed: int
    cache: str = ""
    trained: str = ""
    trust_pickle: bool = False


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True, tag="import"):
    """Make a bundle of a ready model file.

    Attributes:
        sample: npz of real inputs; empty makes seeded random ones.
        variants: by their names in recipes; with none, and no recipe, a file that runs is taken as it is.
        recipe: file with passes, variants and goals; empty for none.
        trust_pickle: open an estimator even if it is a Python pickle.
    """

    model: str
    file: str
    sample: str
    companions: list[str]
    out: str
    seed: int
    variants: list[str] = []
    recipe: str = ""
    trust_pickle: bool = False


class SuggestRequest(msgspec.Struct, frozen=True, kw_only=True, tag="suggest"):
    """Look at a task, and write a first recipe for it into an empty folder."""

    task: str
    settings: dict[str, str]
    aim: Aim
    seed: int
    out: str


#: How a job reports: called with (stage, done, total).
Tell = Callable[[str, int, int], None]
Request = BuildRequest | ImportRequest | SuggestRequest
Reply = Progress | Finished | Failed
