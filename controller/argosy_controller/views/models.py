"""Models, versions and variants as operators see them: the catalogue, flattened to what JSON and pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict
from sqlmodel import Session

from argosy.protocol.card import TensorSpec
from argosy_controller.registry import catalogue
from argosy_controller.views.variant_words import NeedsView, ParityView


@dataclass(frozen=True)
class ModelView:
    """A model with its newest version; `newest` 0 while it has none."""

    model: str
    created: float
    newest: int
    versions: int
    variants: list[str]
    summary: str
    updated: float


@dataclass(frozen=True)
class AccuracyView:
    """A metric on held-out data with its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True)
class TimingView:
    """Measured where the card was made: one thread, microseconds."""

    runtime: str
    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class VariantView:
    """One runnable form. `bytes` of the model file; `inputs` and `outputs` as text; `parity` None: the file came ready."""

    name: str
    format: str
    precision: str
    sha256: str
    bytes: int
    accuracy: AccuracyView | None
    timings: list[TimingView]
    probes: int
    inputs: list[str]
    outputs: list[str]
    lineage: dict[str, str]
    parity: ParityView | None
    needs: NeedsView


@dataclass(frozen=True)
class VersionView:
    """A version; the first three fields are what `models import` and `build` print."""

    model: str
    version: int
    variants: list[VariantView]
    created: float
    created_by: str
    summary: str
    report: dict[str, Any]


@dataclass(frozen=True)
class ModelVersionsView:
    """A model with all its versions, newest first."""

    model: str
    created: float
    versions: list[VersionView]


def list_models(session: Session) -> list[ModelView]:
    """All models by name."""
    return [_model(one) for one in catalogue.models(session)]


def one_model(session: Session, name: str) -> ModelVersionsView:
    """A model with its versions.

    Raises:
        NotFound: there is no such model.
    """
    found = catalogue.model(session, name)
    return ModelVersionsView(found.name, found.created, [_version(one) for one in found.versions])


def one_version(session: Session, model: str, number: int) -> VersionView:
    """One version with its variants.

    Raises:
        NotFound: there is no such version.
    """
    return _version(catalogue.version(session, model, number))


def _model(found: catalogue.ModelView) -> ModelView:
    newest = found.versions[0] if found.versions else None
    return ModelView(
        model=found.name,
        created=found.created,
        newest=newest.number if newest else 0,
        versions=len(found.versions),
        variants=[one.name for one in newest.variants] if newest else [],
        summary=newest.summary if newest else "",
        updated=newest.created if newest else found.created,
    )


def _version(found: catalogue.VersionView) -> VersionView:
    variants = [_variant(one) for one in found.variants]
    return VersionView(found.model, found.number, variants, found.created, found.created_by, found.summary, found.report)


def _variant(found: catalogue.VariantView) -> VariantView:
    card = found.card
    accuracy = card.accuracy
    return VariantView(
        name=found.name,
        format=found.format,
        precision=found.precision,
        sha256=found.sha256,
        bytes=found.length,
        accuracy=AccuracyView(accuracy.metric, accuracy.value, accuracy.low, accuracy.high, accuracy.examples) if accuracy else None,
        timings=[TimingView(one.runtime, one.p50_us, one.p99_us) for one in card.timings],
        probes=card.probes.count if card.probes else 0,
        inputs=_signature(card.inputs),
        outputs=_signature(card.outputs),
        lineage=dict(card.lineage),
        parity=ParityView(**asdict(card.parity)) if card.parity else None,
        needs=NeedsView(**asdict(card.needs)),
    )


def _signature(tensors: Sequence[TensorSpec]) -> list[str]:
    return [f"{one.name}: {one.dtype}[{', '.join('*' if size is None else str(size) for size in one.shape)}]" for one in tensors]
