"""Exact 95 % intervals for a share of right answers."""

from __future__ import annotations

CONFIDENCE = 0.95
METHOD = "Clopper-Pearson (exact), 95 %"


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
