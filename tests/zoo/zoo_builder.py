"""Builds a model in every form and turns the reports into cells; whatever does not build becomes a cell with its reason."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import tomllib
from zoo_cells import OLDER, Cell, Older, cell, refused
from zoo_members import COLUMNS, Member

from argosy.errors import ArgosyError
from argosy.protocol.card import MODEL_FILES
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.numbers.parity import parity
from argosy_controller.pipeline.processes.messages import BuildRequest, Progress
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.report import REPORT_FILE, VariantReport, read_report

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import older_tflite

SEED = 0
_ANSWERS_S = 900.0


@dataclass(frozen=True)
class Built:
    """A variant that was built: its row and its model file."""

    row: VariantReport
    file: Path


class Builder:
    """Builds one member in `folder`; what was trained once is found again in `cache`.

    A quick one makes only what the member's recipe names.
    """

    def __init__(self, member: Member, folder: Path, cache: Path, tell: Callable[[str], None], quick: bool) -> None:
        self._member, self._folder, self._cache, self._tell, self._quick = member, folder, cache, tell, quick
        self._number = 0
        self._stage = ""
        self._wanted: dict[str, np.ndarray] | None = None

    def cells(self) -> list[Cell]:
        """All cells of the member: of its recipe's variants, and of the other columns."""
        named = parse_recipe(self._member.recipe).variants
        shipped, used = [one.name for one in named], [one.use for one in named]
        others = [one for one in COLUMNS if one not in used]
        made = self._attempt(shipped, True)
        if self._quick:
            return [*made, *(refused(self._member.name, one, "not asked for in a quick run", False) for one in others)]
        absent = [refused(self._member.name, one, "this release makes no such file", False) for one in others if one not in EXPORTERS]
        return [*made, *self._attempt([one for one in others if one in EXPORTERS], False), *absent]

    def _attempt(self, variants: Sequence[str], shipped: bool) -> list[Cell]:
        """Builds them together; one that does not build is left out, and where that is none of them they are tried in halves."""
        if not variants:
            return []
        try:
            return [cell(self._member.name, one.row, self._older(one), shipped) for one in self._build(variants)]
        except ArgosyError as error:
            guilty = blamed(self._stage, variants)
            if guilty:
                self._tell(f"{guilty} does not build; the others again")
                left_out = refused(self._member.name, guilty, _sentence(error), shipped)
                return [*self._attempt([one for one in variants if one != guilty], shipped), left_out]
            half = len(variants) // 2
            self._tell(f"something of {', '.join(variants)} does not build; in halves again")
            return [*self._attempt(variants[:half], shipped), *self._attempt(variants[half:], shipped)]

    def _build(self, variants: Sequence[str]) -> list[Built]:
        self._number += 1
        out = self._folder / f"bundle-{self._number}"
        shutil.rmtree(out, ignore_errors=True)
        member = self._member
        run_build(member.task, self._recipe(variants), out, member.name, member.settings, SEED, self._progress, cache=self._cache)
        rows = read_report((out / REPORT_FILE).read_bytes()).variants
        return [Built(one, out / "variants" / one.name / MODEL_FILES[one.format]) for one in rows]

    def _recipe(self, variants: Sequence[str]) -> Path:
        """The member's recipe with these variants only, and its hyperparameters."""
        path = self._folder / "recipe.toml"
        path.write_text(shortened(self._member.recipe, variants, self._member.hyperparameters))
        return path

    def _progress(self, progress: Progress) -> None:
        self._stage = progress.stage
        if progress.done == progress.total:
            self._tell(progress.stage)

    def _older(self, built: Built) -> Older | None:
        """What tflite-runtime 2.14.0 answers, in an environment of its own."""
        if built.row.format != "tflite":
            return None
        if not older_tflite.available():
            return Older(not_asked=f"{OLDER} 2.14.0 is not here: `make setup` installs it")
        wanted = self._source_answers()
        inputs = [wanted[name] for name in wanted if name.startswith("in.")]
        try:
            self._tell(f"ask {OLDER} of {built.row.name}")
            rows = older_tflite.answers(built.file, [[array[i : i + 1] for array in inputs] for i in range(len(inputs[0]))])
        except older_tflite.OlderRuntimeRefused as error:
            return Older(refused=str(error).strip().rstrip("."))
        outputs = {name.removeprefix("out."): array for name, array in wanted.items() if name.startswith("out.")}
        got = {name: np.concatenate([row[i] for row in rows]) for i, name in enumerate(outputs)}
        return Older(parity=parity(str(wanted["source"]), outputs, got, [OLDER], bool(wanted["classes"])))

    def _source_answers(self) -> dict[str, np.ndarray]:
        if self._wanted is None:
            asked, out = self._folder / "request.json", self._folder / "answers.npz"
            member = self._member
            request = BuildRequest(
                task=str(member.task),
                recipe=str(self._folder / "recipe.toml"),
                out="",
                model=member.name,
                settings=member.settings,
                seed=SEED,
                cache=str(self._cache),
            )
            asked.write_bytes(msgspec.json.encode(request))
            subprocess.run([sys.executable, Path(__file__).parent / "source_answers.py", asked, out], check=True, timeout=_ANSWERS_S)
            with np.load(out, allow_pickle=False) as file:
                self._wanted = {name: file[name] for name in file.files}
        return self._wanted


def blamed(stage: str, variants: Sequence[str]) -> str:
    """The variant at which a build ended, by what it was about to do last; empty where that was none of them."""
    doing, _, name = stage.partition(" ")
    return name if doing in ("export", "measure") and name in variants else variants[0] if len(variants) == 1 else ""


def shortened(recipe: str, variants: Sequence[str], hyperparameters: dict[str, int]) -> str:
    """A recipe's text with these variants, named as it names them or as exporters are called; all that stands above them stays."""
    above, *blocks = recipe.split("[[variants]]\n")
    kept = {found.get("name", found["use"]): block for block in blocks for found in [tomllib.loads(block)]}
    wanted = ["[[variants]]\n" + kept.get(one, f'use = "{one}"').strip() + "\n" for one in variants]
    table = "".join(f"{name} = {value}\n" for name, value in hyperparameters.items())
    return "\n".join([above.rstrip() + "\n", *([f"[task]\n{table}"] if table else []), *wanted])


def _sentence(error: ArgosyError) -> str:
    return " ".join(str(error).split())[:400]
