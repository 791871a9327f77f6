"""95 % intervals: exact for shares of right answers and for their paired difference, BCa bootstrap for everything else.

docs/how-the-numbers-are-made.md has the formulas in words. All functions are pure; randomness is a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
METHOD = "Clopper-Pearson (exact), 95 %"
PAIRED_METHOD = "exact for paired shares (score test inverted, Berger-Boos), 95 %"
BOOTSTRAP_METHOD = "BCa bootstrap, {} draws, 95 %"
SAME_METHOD = "no example differs, so from their number alone, 95 %"
#: Draws of a built-in metric, and of a function of a user's own, which may be slow.
DRAWS, OWN_DRAWS = 2000, 1000
_SEED = 20_261_124
#: Of the confidence, what Berger and Boos spend on the share of examples on which the two models differ.
_SPENT = 1e-3
_SHARES, _SCAN, _BISECTIONS = 24, 32, 18
_CELLS = 2_000_000
_JACKKNIFE_GROUPS = 400
_MOST_EXAMPLES = 1 << 31


def clopper_pearson(right: int, examples: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval that covers the true share with at least the given probability, whatever that share is.

    Clopper and Pearson, Biometrika 26 (1934), by quantiles of the beta distribution.

    Args:
        right: right answers, 0 to `examples`.
        examples: at least 1.

    Examples:
        >>> low, high = clopper_pearson(8, 10)
        >>> round(low, 4), round(high, 4)
        (0.4439, 0.9748)
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if right == 0 else float(beta.ppf(tail, right, examples - right + 1))
    high = 1.0 if right == examples else float(beta.ppf(1 - tail, right + 1, examples - right))
    return low, high


def paired_difference(lost: int, won: int, examples: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of the drop `(lost - won) / examples` between two models asked the same examples.

    Exact: it covers the true drop with at least the given probability, whatever the truth is. It holds the drops that two
    one-sided tests do not reject. A test's p-value is the largest over the unknown share of examples on which the models
    differ, within that share's own 99.9 % interval (Berger and Boos, JASA 89 (1994)); the order of outcomes is the
    score-like `(lost - won - n drop) / sqrt(n (share seen - drop^2))` (after Nam, Biometrics 53 (1997)).

    Args:
        lost: examples that the first model gets right and the second wrong.
        won: the other way round.
        examples: all, at least `lost + won` and 1.
    """
    low = -_highest_drop(won, lost, examples, confidence)
    return low, _highest_drop(lost, won, examples, confidence)


def _highest_drop(lost: int, won: int, examples: int, confidence: float) -> float:
    """The largest drop that is not rejected: a scan from far out inwards, then bisection, so that no gap hides a part."""
    level = (1 - confidence) / 2 - _SPENT
    seen = (lost - won) / examples
    spread = math.sqrt(lost + won + 1) / examples
    bound = min(1.0, seen + 6 * spread + 12 / examples)
    if _not_larger(lost, won, examples, bound) > level:
        bound = 1.0
    tried = np.linspace(bound, seen, _SCAN)
    outside = bound
    inside = seen
    for drop in tried:
        if _not_larger(lost, won, examples, float(drop)) > level:
            inside = float(drop)
            break
        outside = float(drop)
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        if _not_larger(lost, won, examples, middle) > level:
            inside = middle
        else:
            outside = middle
    return min(1.0, outside)


def _not_larger(lost: int, won: int, examples: int, drop: float) -> float:
    """The largest chance, if the true drop were `drop`, of an outcome that speaks as much for a smaller one."""
    differ = lost + won
    low, high = clopper_pearson(differ, examples, 1 - _SPENT)
    shares = np.linspace(max(low, abs(drop)), max(high, abs(drop)), _SHARES)
    return float(np.max(paired_p_values(lost, won, examples, drop, shares)))


def drop_is_below(lost: int, won: int, examples: int, drop: float, confidence: float = CONFIDENCE) -> bool:
    """Whether `paired_difference` of these counts ends at or below `drop`; a single test."""
    return lost - won < drop * examples and _not_larger(lost, won, examples, drop) <= (1 - confidence) / 2 - _SPENT


def most_mistakes(examples: int, confidence: float = CONFIDENCE) -> float:
    """The largest share of mistakes that a set of this many examples without one leaves possible."""
    return 1 - clopper_pearson(examples, examples, confidence)[0] if examples else 1.0


def paired_p_values(lost: int, won: int, examples: int, drop: float, shares: Floats) -> Floats:
    """For each share of differing examples, the chance of an outcome at or below the one seen in the test's order.

    Given d examples that differ, those lost are binomial (d, (share + drop) / (2 share)); d itself is binomial.
    """
    from scipy.stats import binom

    low, high = binom.ppf([1e-12], examples, shares.min())[0], binom.isf([1e-12], examples, shares.max())[0]
    differ = np.arange(max(0, low - 1), min(examples, high + 1) + 1)
    shift = examples * drop
    score = (lost - won - shift) / _deviation(lost + won, examples, drop)
    most = np.floor((differ + shift + score * _deviation(differ, examples, drop)) / 2 + 1e-9)
    share = shares[:, None]
    chance = np.divide(share + drop, 2 * share, out=np.full_like(share, 0.5), where=share > 0)
    inner = binom.cdf(most, differ, np.clip(chance, 0, 1))
    return np.asarray((binom.pmf(differ, examples, share) * inner).sum(axis=1))


def _deviation(differ: Any, examples: int, drop: float) -> Any:
    share = np.maximum(differ / examples, abs(drop))
    return np.sqrt(np.maximum(examples * (share - drop * drop), 1e-12))


def bootstrap(
    statistic: Callable[[Floats], Floats], examples: int, *, draws: int = DRAWS, confidence: float = CONFIDENCE, seed: int = _SEED
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval of a figure of a set; None where the draws say nothing.

    Efron, JASA 82 (1987), equations 2.2 to 2.4 with the acceleration from a jackknife that leaves out one example at a
    time, or one of 400 groups where there are more. Time and memory are bounded: draws come in blocks.

    Args:
        statistic: from weightings (draws, examples) to the figure of each; NaN where a draw has none.
        examples: at least 1.

    Returns:
        None when all draws agree, or more than one in twenty has no figure: the set is too small for the method.
    """
    from scipy.special import ndtr, ndtri

    point = float(statistic(np.ones((1, examples)))[0])
    drawn = _in_blocks(statistic, examples, draws, _drawer(examples, seed))
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 0.95 * draws or np.ptp(drawn) <= 1e-12 * max(1.0, abs(point)):
        return None
    below = ((drawn < point).sum() + (drawn == point).sum() / 2) / len(drawn)
    bias = ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    acceleration = _acceleration(statistic, examples, seed)
    ends = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    levels = ndtr(bias + ends / (1 - acceleration * ends))
    low, high = np.quantile(drawn, levels)
    return float(min(low, point)), float(max(high, point))


def _drawer(examples: int, seed: int) -> Callable[[int, int], Floats]:
    """Multinomial weightings: how often each example was drawn, with replacement."""
    random = np.random.default_rng(seed)

    def draw(start: int, stop: int) -> Floats:
        picks = random.integers(0, examples, (stop - start, examples)) + np.arange(stop - start)[:, None] * examples
        return np.bincount(picks.ravel(), minlength=(stop - start) * examples).reshape(stop - start, examples).astype(np.float64)

    return draw


def _in_blocks(statistic: Callable[[Floats], Floats], examples: int, count: int, weights: Callable[[int, int], Floats]) -> Floats:
    block = max(1, _CELLS // examples)
    return np.concatenate([statistic(weights(start, min(start + block, count))) for start in range(0, count, block)])


def _acceleration(statistic: Callable[[Floats], Floats], examples: int, seed: int) -> float:
    """A sixth of the skewness of the influences, Efron's equation 6.6 in its jackknife form."""
    count = min(examples, _JACKKNIFE_GROUPS)
    group = np.random.default_rng(seed).permutation(examples) % count

    def without(start: int, stop: int) -> Floats:
        return np.asarray(group[None, :] != np.arange(start, stop)[:, None], dtype=np.float64)

    left = _in_blocks(statistic, examples, count, without)
    left = left[np.isfinite(left)]
    off = left.mean() - left if len(left) else left
    power = float((off**2).sum()) ** 1.5
    return float((off**3).sum() / (6 * power)) if power > 0 else 0.0


def enough_examples(decides: Callable[[int], bool], examples: int) -> int | None:
    """The smallest number of examples, from `examples` on, for which `decides` is true; None when two thousand million are not.

    Args:
        decides: false up to some number and true from there on, as far as rounding lets it.
    """
    low, high = examples, examples
    while not decides(high):
        low, high = high, high * 2
        if high > _MOST_EXAMPLES:
            return None
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
