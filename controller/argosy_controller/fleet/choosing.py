"""Which variant of a version a device gets: pure, and it says why."""

from __future__ import annotations

from collections.abc import Sequence

from argosy.protocol.card import Card
from argosy.protocol.desired import SlotContent
from argosy.protocol.reported import Capabilities

_PRECISIONS = {"fp32": 0, "fp16": 1, "int8": 2}


def choose_variant(cards: Sequence[Card], capabilities: Capabilities) -> tuple[Card | None, str]:
    """Picks the variant that the device should run.

    Only variants count whose format one of the device's runtimes runs and whose precision it accepts. If every one of
    them was timed on the very runtime that would run it here, the fastest wins. Otherwise nothing claims to know which
    is faster (int8 can be ten times slower), and the most precise wins, then the smallest, then the first by name.

    Args:
        cards: the version's variants.
        capabilities: as the device reported them. Passports (timings per device class) will join the cards' timings here.

    Returns:
        The card, or None when the device can run none, and the reason in words.
    """
    runnable = [(card, runtime) for card in cards if (runtime := _runtime_for(card, capabilities))]
    if not runnable:
        return None, _why_none(cards, capabilities)
    if len(runnable) == 1:
        card, runtime = runnable[0]
        return card, f"{card.variant} is the only variant that the device runs ({runtime})"
    timed = [(p50, card, runtime) for card, runtime in runnable if (p50 := _p50_us(card, runtime)) is not None]
    if len(timed) == len(runnable):
        p50, card, runtime = min(timed, key=lambda one: (one[0], *_plain_order(one[1])))
        return card, f"{card.variant} is the fastest on {runtime}: {p50:.0f} us at p50"
    card, runtime = min(runnable, key=lambda one: _plain_order(one[0]))
    return card, f"{card.variant} is the most precise for {runtime}; not every variant was timed there"


def content_of(card: Card) -> SlotContent:
    """What a slot that should run this variant is told."""
    file = card.model_file
    return SlotContent(model=card.model, version=card.version, variant=card.variant, sha256=file.sha256, length=file.length)


def _runtime_for(card: Card, capabilities: Capabilities) -> str | None:
    if capabilities.precisions and card.precision not in capabilities.precisions:
        return None
    return next((runtime.name for runtime in capabilities.runtimes if card.format in runtime.formats), None)


def _p50_us(card: Card, runtime: str) -> float | None:
    return next((timing.p50_us for timing in card.timings if timing.runtime == runtime), None)


def _plain_order(card: Card) -> tuple[int, int, str]:
    return _PRECISIONS.get(card.precision, len(_PRECISIONS)), card.model_file.length, card.variant


def _why_none(cards: Sequence[Card], capabilities: Capabilities) -> str:
    formats = sorted({form for runtime in capabilities.runtimes for form in runtime.formats})
    accepts = "/".join(capabilities.precisions) or "any precision"
    offered = ", ".join(sorted(card.variant for card in cards)) or "none"
    return f"no runnable variant: the device runs {'/'.join(formats) or 'no format'} in {accepts}; there is {offered}"
