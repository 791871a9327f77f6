"""Which trials are given up early: those that are worse than earlier trials were after as much training.

The median rule of Golovin et al. 2017 (Google Vizier, KDD, section 3.2.2) with any quantile in place of the median. Earlier
trials that were given up count as far as they came. A trial is compared with trials that ended before it began, and by its
number, not by the clock, it is fixed which these are: so the same trials are given up with one worker as with many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from argosy.errors import ArgosyError
from argosy_controller.pipeline.search.outcome import Curve, Look

#: A trial is not compared with fewer others than this.
_FEWEST = 4
#: Before this epoch of a stage a loss says little.
_FIRST_EPOCH = 2


class Hopeless(ArgosyError):
    """A trial is given up; no fault of anybody."""


def given_up(curve: Curve, earlier: Sequence[Curve], patience: float) -> int | None:
    """At which of its looks (a position in `curve`) a trial is given up; None for never.

    Args:
        earlier: curves of the trials that it is compared with.
        patience: 0.5 gives up what is worse than the median, 1 nothing.
    """
    if patience >= 1:
        return None
    rivals = [_bests(one) for one in earlier]
    bests = _bests(curve)
    for place, look in enumerate(curve):
        known = [one[look.stage, look.epoch] for one in rivals if (look.stage, look.epoch) in one]
        if look.epoch < _FIRST_EPOCH or len(known) < _FEWEST:
            continue
        if bests[look.stage, look.epoch] > np.quantile(known, patience):
            return place
    return None


def sentence(look: Look, patience: float) -> str:
    """Why a trial was given up at a look."""
    stage = "the first training" if look.stage == 0 else f"pass {look.stage}"
    return f"given up after epoch {look.epoch} of {stage}: its validation loss was worse than that of {patience:.0%} of the earlier trials"


def _bests(curve: Curve) -> dict[tuple[int, int], float]:
    """The smallest loss of a stage up to each of its epochs."""
    bests: dict[tuple[int, int], float] = {}
    for one in curve:
        bests[one.stage, one.epoch] = min(one.loss, bests.get((one.stage, one.epoch - 1), one.loss))
    return bests
