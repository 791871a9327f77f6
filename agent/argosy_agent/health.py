"""The device gates: does the content that was just swapped in do as well as what served before on the same device?

Pure. Statistics between devices belong to the controller; here one device looks at itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from argosy.histogram import Histogram
from argosy.protocol.desired import Gates
from argosy.protocol.refusals import Refusal

#: Errors are judged before the window's end only once this many requests were seen...
EARLY_REQUESTS = 20
#: ...and latency only after this many seconds, so that the first, cold requests do not decide.
EARLY_S = 3.0
#: Before the window's end a gate must be missed by this factor: a burst is no verdict yet.
_CLEARLY = 2.0
#: One failed request says nothing about a model.
_LEAST_ERRORS = 2
_Q = 0.95


@dataclass(frozen=True)
class Seen:
    """What was counted since the swap. `latency`: nanoseconds of the successful requests."""

    requests: int
    errors: int
    latency: Histogram


@dataclass(frozen=True)
class Pass:
    """Every gate held to the end of the window."""


@dataclass(frozen=True)
class Wait:
    """Not decided yet."""


@dataclass(frozen=True)
class Fail:
    """A gate did not hold; `text` has the numbers."""

    refusal: Refusal
    text: str


Judgement = Union[Pass, Wait, Fail]  # noqa: UP007


def judge(before: Histogram | None, seen: Seen, gates: Gates, elapsed_s: float) -> Judgement:
    """Judges a health window.

    Args:
        before: latency of the previous content on this device in its last minute; None when nothing served before.
        seen: what was counted in the window so far.
        gates: from the desired document.
        elapsed_s: seconds since the window began.

    Returns:
        Fail as soon as a gate is clearly missed, or missed at the window's end; Pass at its end, also when idle; else Wait.
    """
    over = elapsed_s >= gates.window_s
    failed = _errors(seen, gates, over) or _latency(before, seen, gates, elapsed_s, over)
    if failed:
        return failed
    return Pass() if over else Wait()


def _errors(seen: Seen, gates: Gates, over: bool) -> Fail | None:
    if seen.requests == 0 or seen.errors < _LEAST_ERRORS or (not over and seen.requests < EARLY_REQUESTS):
        return None
    share = seen.errors / seen.requests
    limit = gates.max_error_share * (1.0 if over else _CLEARLY)
    if share <= limit:
        return None
    return Fail(Refusal.TOO_MANY_ERRORS, f"{seen.errors} of {seen.requests} failed, at most {gates.max_error_share:.1%} may")


def _latency(before: Histogram | None, seen: Seen, gates: Gates, elapsed_s: float, over: bool) -> Fail | None:
    if before is None or min(before.count, seen.latency.count) < gates.min_requests or (not over and elapsed_s < EARLY_S):
        return None
    was, now = before.quantile(_Q), seen.latency.quantile(_Q)
    if not was or now is None:
        return None
    limit = gates.max_latency_ratio * (1.0 if over else _CLEARLY)
    if now <= was * limit:
        return None
    return Fail(Refusal.TOO_SLOW, f"p95 {now / 1e6:.2f} ms against {was / 1e6:.2f} ms before, at most {gates.max_latency_ratio:g}x may be")
