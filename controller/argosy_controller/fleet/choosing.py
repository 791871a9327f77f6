"""Which variant of a version a device gets, and why it does not get others: pure, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argosy.matching import runtime_for
from argosy.protocol.card import Card
from argosy.protocol.desired import SlotContent
from argosy.protocol.reported import Capabilities

#: Most precise first.
_PRECISIONS = ("fp32", "fp16", "int16x8", "int8-weights", "packed", "int8-dynamic", "int8", "int4")
_MOST_REASONS = 6


def choose_variant(cards: Sequence[Card], capabilities: Capabilities) -> tuple[Card | None, str]:
    """Picks the variant that the device should run.

    Only variants count that one of the device's runtimes runs, by what their cards say they need. If every one of them was
    timed on the very runtime that would run it here, the fastest wins. Otherwise nothing claims to know which is faster
    (int8 can be ten times slower), and the most precise wins, then the smallest, then the first by name.

    Args:
        cards: the version's variants.
        capabilities: as the device reported them. Passports (timings per device class) will join the cards' timings here.

    Returns:
        The card, or None when the device can run none; and why, in words: also why the others of a format that the device
        has a runtime for are not offered.
    """
    found = [(card, *runtime_for(card, capabilities)) for card in cards]
    runnable = [(card, runtime) for card, runtime, _ in found if runtime]
    against = {card.variant: why for card, runtime, why in found if not runtime}
    if not runnable:
        return None, f"no runnable variant: {_grouped(against) or 'the version has none'}"
    card, reason = _best(runnable)
    formats = {form for runtime in capabilities.runtimes for form in runtime.formats}
    known = {card.variant for card in cards if card.format in formats}
    hidden = _grouped({name: why for name, why in against.items() if name in known})
    return card, reason + (f"; not offered: {hidden}" if hidden else "")


def _best(runnable: Sequence[tuple[Card, str]]) -> tuple[Card, str]:
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


def _p50_us(card: Card, runtime: str) -> float | None:
    return next((timing.p50_us for timing in card.timings if timing.runtime == runtime), None)


def _plain_order(card: Card) -> tuple[int, int, str]:
    place = _PRECISIONS.index(card.precision) if card.precision in _PRECISIONS else len(_PRECISIONS)
    return place, card.model_file.length, card.variant


def _grouped(against: Mapping[str, str]) -> str:
    """`a and b (why); c (why)`, in an order that does not depend on that of the variants; each reason once, the first few."""
    reasons: dict[str, list[str]] = {}
    for name in sorted(against):
        reasons.setdefault(against[name], []).append(name)
    said = [f"{_listed(names)} ({why})" for why, names in reasons.items()]
    more = f"; and {len(said) - _MOST_REASONS} more reasons" if len(said) > _MOST_REASONS else ""
    return "; ".join(said[:_MOST_REASONS]) + more


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
