"""A model with its versions and variants: accuracy, bytes, and latency as built and as measured by the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.words import Age, Badge, age, rollout_badge
from argosy_controller.views import variant_words
from argosy_controller.views.devices import list_devices
from argosy_controller.views.fitting import FitView, fits, named, told
from argosy_controller.views.format import as_bytes, as_latency, as_metric, in_percent
from argosy_controller.views.models import AccuracyView, VariantView, VersionView, one_model
from argosy_controller.views.reports import has_report
from argosy_controller.views.rollouts import list_rollouts
from argosy_controller.views.telemetry import LatencyQuery, LatencyView, latency

_MOST_OPERATORS = 200
_MOST_REASONS = 8


@dataclass(frozen=True)
class Interval:
    """A 95 % interval on the scale that all variants of the model share, as x coordinates from 4 to 116."""

    low: float
    value: float
    high: float
    label: str


@dataclass(frozen=True)
class VariantLine:
    """A runnable form."""

    name: str
    format: str
    precision: str
    accuracy: str
    interval: Interval | None
    bytes: str
    built: str
    built_on: str
    fleet: str
    requests: str
    sha256: str
    signature: str


@dataclass(frozen=True)
class FitLine:
    """A runnable form beside its model and beside the fleet.

    Attributes:
        reason: why the parity is as it is, or the difference as large.
        needs: in words, but for the operators.
        operators: how many, and their names.
        cannot: what keeps devices from running it, and the first of these devices.
    """

    name: str
    difference: str
    same: str
    compared: str
    reason: str
    needs: tuple[str, ...]
    operators: str
    operator_names: tuple[str, ...]
    devices: str
    cannot: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class VersionBlock:
    """A version. `report`: there is one that can be shown."""

    title: str
    number: int
    summary: str
    by: str
    created: Age
    serving: int
    variants: tuple[VariantLine, ...]
    fits: tuple[FitLine, ...]
    lineage: tuple[tuple[str, str], ...]
    report: bool


@dataclass(frozen=True)
class RolloutLine:
    """A rollout of the model."""

    number: int
    title: str
    badge: Badge
    selector: str
    created: Age


@dataclass(frozen=True)
class ModelPage:
    """Page data."""

    name: str
    created: Age
    scale: str
    versions: tuple[VersionBlock, ...]
    rollouts: tuple[RolloutLine, ...]


def page(session: Session, name: str, now: float) -> ModelPage:
    """A model now.

    Raises:
        NotFound: there is no such model.
    """
    found = one_model(session, name)
    measured = {(one.version, one.variant): one for one in latency(session, LatencyQuery(model=name))}
    accuracies = [one.accuracy for version in found.versions for one in version.variants if one.accuracy]
    low, high = _scale(accuracies)
    serving, fitting = _serving(session, name), fits(session, name)
    return ModelPage(
        name=name,
        created=age(found.created, now),
        scale=_told(accuracies, low, high),
        versions=tuple(_version(one, measured, (low, high), fitting, serving.get(one.version, 0), now) for one in found.versions),
        rollouts=tuple(
            RolloutLine(one.rollout, f"{one.model}@{one.version}", rollout_badge(one.state), one.selector, age(one.created, now))
            for one in list_rollouts(session, 8, model=name)
        ),
    )


def _serving(session: Session, model: str) -> dict[int, int]:
    counts: dict[int, int] = {}
    for device in list_devices(session):
        for version in {
            slot.version for slot in device.slots.values() if device.online and slot.model == model and slot.state == "serving"
        }:
            counts[version] = counts.get(version, 0) + 1
    return counts


def _scale(accuracies: Sequence[AccuracyView]) -> tuple[float, float]:
    """The range in which all intervals lie, with some air: differences of half a percent must be seen."""
    if not accuracies:
        return 0.0, 0.0
    low, high = min(one.low for one in accuracies), max(one.high for one in accuracies)
    if not in_percent(accuracies[0].metric):
        return low - 0.1 * (high - low), high + 0.1 * (high - low)
    air = max((high - low) * 0.1, 0.002)
    return max(0.0, low - air), min(1.0, high + air)


def _told(accuracies: Sequence[AccuracyView], low: float, high: float) -> str:
    if high <= low:
        return ""
    metric = accuracies[0].metric
    return f"intervals of {metric} drawn from {as_metric(metric, low)} to {as_metric(metric, high)}"


def _version(
    one: VersionView,
    measured: dict[tuple[int, str], LatencyView],
    scale: tuple[float, float],
    fitting: dict[tuple[int, str], FitView],
    serving: int,
    now: float,
) -> VersionBlock:
    variants = tuple(_variant(variant, measured.get((one.version, variant.name)), scale) for variant in one.variants)
    lineage = one.variants[0].lineage if one.variants else {}
    return VersionBlock(
        f"{one.model}@{one.version}",
        one.version,
        one.summary,
        one.created_by,
        age(one.created, now),
        serving,
        variants,
        tuple(_fit(variant, fitting[one.version, variant.name]) for variant in one.variants),
        tuple(sorted(lineage.items())),
        has_report(one.report),
    )


def _variant(one: VariantView, fleet: LatencyView | None, scale: tuple[float, float]) -> VariantLine:
    timing = one.timings[0] if one.timings else None
    return VariantLine(
        name=one.name,
        format=one.format,
        precision=one.precision,
        accuracy=as_metric(one.accuracy.metric, one.accuracy.value) if one.accuracy else "not measured",
        interval=_interval(one.accuracy, scale) if one.accuracy else None,
        bytes=as_bytes(one.bytes),
        built=as_latency(timing.p50_us * 1000) if timing else "–",
        built_on=timing.runtime if timing else "",
        fleet=as_latency(fleet.p95_ns) if fleet else "–",
        requests=f"{fleet.requests:,} requests" if fleet else "",
        sha256=one.sha256,
        signature=f"{'; '.join(one.inputs)} → {'; '.join(one.outputs)}",
    )


def _fit(one: VariantView, fitting: FitView) -> FitLine:
    return FitLine(
        name=one.name,
        difference=variant_words.difference(one.parity),
        same=variant_words.same_class(one.parity),
        compared=variant_words.compared(one.parity),
        reason=one.parity.reason if one.parity and one.parity.verified_by else "",
        needs=variant_words.needs(one.needs, one.format),
        operators=variant_words.operators(one.needs),
        operator_names=tuple(one.needs.operators[:_MOST_OPERATORS]),
        devices=told(fitting),
        cannot=tuple((reason.why, named(reason.devices)) for reason in fitting.reasons[:_MOST_REASONS]),
    )


def _interval(one: AccuracyView, scale: tuple[float, float]) -> Interval:
    def x(value: float) -> float:
        return round(4 + 112 * (value - scale[0]) / ((scale[1] - scale[0]) or 1.0), 1)

    value, low, high = (as_metric(one.metric, number) for number in (one.value, one.low, one.high))
    text = f"{one.metric} {value}, 95 % interval {low} to {high}, {one.examples} examples"
    return Interval(x(one.low), x(one.value), x(one.high), text)
