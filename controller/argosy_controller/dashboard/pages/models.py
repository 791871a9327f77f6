"""All models."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from argosy_controller.dashboard.words import Age, age
from argosy_controller.views.devices import list_devices
from argosy_controller.views.models import list_models


@dataclass(frozen=True)
class ModelLine:
    """A model."""

    name: str
    newest: str
    summary: str
    variants: tuple[str, ...]
    versions: int
    serving: int
    updated: Age


@dataclass(frozen=True)
class ModelsPage:
    """Page data."""

    models: tuple[ModelLine, ...]


def page(session: Session, now: float) -> ModelsPage:
    """All models, and on how many online devices each serves."""
    serving: dict[str, int] = {}
    for device in list_devices(session):
        for model in {slot.model for slot in device.slots.values() if device.online and slot.state == "serving"}:
            serving[model] = serving.get(model, 0) + 1
    lines = (
        ModelLine(
            one.model,
            f"@{one.newest}" if one.newest else "none",
            one.summary,
            tuple(one.variants),
            one.versions,
            serving.get(one.model, 0),
            age(one.updated, now),
        )
        for one in list_models(session)
    )
    return ModelsPage(tuple(lines))
