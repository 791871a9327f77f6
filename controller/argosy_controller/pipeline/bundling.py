"""How builds and imports end: goals judged, the variants' folders written, the report and its page beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from argosy.errors import GoalsNotMet
from argosy_controller.pipeline.numbers.goals import Judgement, judge, require
from argosy_controller.pipeline.report import Report, write_report
from argosy_controller.pipeline.report_page import write_page
from argosy_controller.pipeline.variants import VARIANTS_FOLDER, Measured, row, write_variant

if TYPE_CHECKING:
    from argosy_controller.pipeline.numbers.figures import Figures
    from argosy_controller.pipeline.recipes.recipe import Recipe


def judgements(recipe: Recipe, found: Sequence[Measured], figures: Callable[[Measured], Figures]) -> list[Judgement]:
    """All goals of all variants.

    Args:
        figures: what a variant's goals are judged by.
    """
    wishes = {one.name: one.goals for one in recipe.variants}
    return [one for each in found for one in judge(each.name, wishes[each.name], figures(each))]


def write_bundle(out: Path, report: Report, found: Sequence[Measured], companions: Sequence[Path]) -> None:
    """Writes a bundle into a folder.

    Args:
        report: all but its variants, which are added here.
        companions: files that travel beside every variant.

    Raises:
        GoalsNotMet: the report was written, the variants were removed.
    """
    cards = [write_variant(out, report.model, one, companions, report.lineage) for one in found]
    report = msgspec.structs.replace(report, variants=[row(card, one) for card, one in zip(cards, found, strict=True)])
    write_report(out, report)
    write_page(out, report)
    try:
        require(report.goals)
    except GoalsNotMet:
        shutil.rmtree(out / VARIANTS_FOLDER)
        raise
