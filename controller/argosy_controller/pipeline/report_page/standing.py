"""Which variant to ship, and why: who meets the goals, who is smallest, fastest, most accurate; nothing that was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from argosy.protocol.card import Timing
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Report, VariantReport
from argosy_controller.pipeline.report_page.words import Metric, latency, objective, of_metric, short, target, times
from argosy_controller.views.format import as_bytes

#: Medians closer than this are the same speed: two runs of one file differ by as much.
_SAME_SPEED = 1.05


@dataclass(frozen=True)
class Verdict:
    """The whole report in a sentence, and what to do in another. `tone`: ok, warn, bad."""

    tone: str
    sentence: str
    advice: str


@dataclass(frozen=True)
class Picks:
    """The best of those that may be shipped; None where nothing was measured, or all measured the same."""

    smallest: VariantReport | None
    fastest: VariantReport | None
    most_accurate: VariantReport | None

    def reasons(self, name: str) -> list[str]:
        """Why a variant is one of them."""
        named = (("smallest", self.smallest), ("fastest", self.fastest), ("most accurate", self.most_accurate))
        return [reason for reason, one in named if one is not None and one.name == name]


def letter(index: int) -> str:
    """A short name in pictures: A, B, ... Z, A1, B1..."""
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def missed(report: Report) -> set[str]:
    """Names of variants that miss a goal."""
    return {one.variant for one in report.goals if one.met is False}


def p50(one: VariantReport) -> float | None:
    """The median of its fastest runtime, microseconds."""
    return min((timing.p50_us for timing in one.timings if timing.p50_us > 0), default=None)


def picks(report: Report, metric: Metric) -> Picks:
    """Chosen among variants that miss no goal and ran here; where all miss one, there is nothing to ship."""
    out = missed(report)
    able = [one for one in report.variants if one.name not in out and (one.accuracy or one.timings)]
    timed = [(value, one) for one in able if (value := p50(one)) is not None]
    scored = [(one.accuracy.value, one) for one in able if one.accuracy]
    same = len(scored) > 1 and len({value for value, _ in scored}) == 1
    return Picks(
        smallest=min(able, key=lambda one: one.bytes, default=None),
        fastest=_fastest(timed),
        most_accurate=_best(scored, metric) if scored and not same else None,
    )


def _fastest(timed: list[tuple[float, VariantReport]]) -> VariantReport | None:
    if not timed:
        return None
    least = min(value for value, _ in timed)
    return min((one for value, one in timed if value <= least * _SAME_SPEED), key=lambda one: one.bytes)


def _best(scored: list[tuple[float, VariantReport]], metric: Metric) -> VariantReport:
    """Of equal ones the smallest."""
    sign = 1 if metric.higher_is_better else -1
    return max(scored, key=lambda pair: (sign * pair[0], -pair[1].bytes))[1]


def told_apart(one: VariantReport, other: VariantReport) -> bool:
    """Whether the intervals of two accuracies do not even touch."""
    a, b = one.accuracy, other.accuracy
    return a is not None and b is not None and (a.low > b.high or b.low > a.high)


def verdict(report: Report, metric: Metric, best: Picks) -> Verdict:
    """What to know first."""
    if not report.goals:
        what = "An import is measured, not judged" if report.kind == "import" else "The recipe sets no goals"
        return Verdict("ok", f"{what}: {_variants(len(report.variants))} made.", _advice(best))
    lost = [one for one in report.goals if one.met is False]
    open_ = [one for one in report.goals if one.met is None]
    if lost:
        return Verdict("bad", f"{len(lost)} of {_goals(len(report.goals))} missed: {_listed(lost, metric)}.", _without(best))
    if len(open_) == len(report.goals):
        return Verdict("warn", f"None of the {_goals(len(report.goals))} could be judged here.", _advice(best))
    judged = len(report.goals) - len(open_)
    rest = f"; {len(open_)} could not be measured here" if open_ else ""
    return Verdict("ok", f"{'All ' if judged > 1 else ''}{_goals(judged)} met{rest}.", _advice(best))


def _goals(number: int) -> str:
    return f"{number} goals" if number != 1 else "1 goal"


def _variants(number: int) -> str:
    return f"{number} variants" if number != 1 else "1 variant"


def _listed(lost: Sequence[Judgement], metric: Metric, most: int = 3) -> str:
    told = [
        f"{short(one.variant)} misses {goal_words(one.goal, metric)} {target(one.goal, one.target, metric)} by {by(one, metric)}"
        for one in lost
    ]
    return "; ".join(told[:most]) + (f"; and {len(told) - most} more" if len(told) > most else "")


def by(one: Judgement, metric: Metric) -> str:
    """How far a goal was missed, in its unit."""
    if of_metric(one.goal, metric):
        return metric.difference(one.missed_by, one.missed_by / 3)
    return objective(one.goal, one.missed_by, metric)


def goal_words(name: str, metric: Metric) -> str:
    """`accuracy at least`, `bytes at most` as people say it."""
    words = name.replace("metric", metric.name).replace("_us", "").replace("_", " ")
    return short(words.replace("bytes", "size").replace("p50", "median latency").replace("p99", "99th percentile of latency"), 40)


def _without(best: Picks) -> str:
    if best.smallest is None:
        return "No version was made: change the recipe, or its goals."
    return f"No version was made. {short(best.smallest.name)} misses none of its own goals: change the recipe, or the goals of the others."


def _advice(best: Picks) -> str:
    small, fast = best.smallest, best.fastest
    if small is None:
        return ""
    if fast is None:
        return f"{short(small.name)} is the smallest ({as_bytes(small.bytes)}); no speed was measured here."
    speed = latency(p50(fast) or 0)
    if small is fast:
        return f"Ship {short(small.name)}: the smallest ({as_bytes(small.bytes)}) and the fastest here ({speed}). {_equal(best)}".strip()
    return (
        f"Ship {short(small.name)} where size counts ({as_bytes(small.bytes)}, {latency(p50(small) or 0)}), "
        f"{short(fast.name)} where speed counts ({as_bytes(fast.bytes)}, {speed}). {_equal(best)}"
    ).strip()


def _equal(best: Picks) -> str:
    """Whether accuracy decides between them."""
    small, fast, right = best.smallest, best.fastest, best.most_accurate
    if small is None or fast is None or small.accuracy is None:
        return ""
    if right is None or right.accuracy is None:
        alike = small is not fast and small.accuracy == fast.accuracy
        return f"Both are as accurate, on {small.accuracy.examples:,} examples." if alike else ""
    if told_apart(right, small) or told_apart(right, fast):
        return f"{short(right.name)} is the most accurate, beyond chance."
    if right is small and right is fast:
        return "None was more accurate."
    return f"Their accuracies cannot be told apart on {right.accuracy.examples:,} examples."


def speed_against(one: VariantReport, timing: Timing, variants: Sequence[VariantReport]) -> tuple[str, str]:
    """How a variant's speed compares with single precision of its format in the same runtime: words and tone; empty without one."""
    same = [other for other in variants if other.format == one.format and other.precision == "fp32" and other.name != one.name]
    found = [(other.name, t.p50_us) for other in same for t in other.timings if t.runtime == timing.runtime and t.p50_us > 0]
    if one.precision == "fp32" or not found or timing.p50_us <= 0:
        return "", ""
    name, reference = found[0]
    ratio = timing.p50_us / reference
    if ratio > _SAME_SPEED:
        return f"{times(ratio)} slower than {short(name)}", "bad"
    if ratio < 1 / _SAME_SPEED:
        return f"{times(1 / ratio)} faster than {short(name)}", "ok"
    return f"as fast as {short(name)}", ""
