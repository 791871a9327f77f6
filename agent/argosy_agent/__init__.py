"""Everything that runs on a device.

`argosy_agent.Slot` is what a program on the device uses to predict in its own process:

    from argosy_agent import Slot
    with Slot("digits") as digits:
        answer = digits.predict({"x": image})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argosy_agent.serving.slot import Slot

__all__ = ["Slot"]


def __getattr__(name: str) -> object:
    """Imports Slot, and numpy with it, only when someone asks for it: the supervisor never does."""
    if name == "Slot":
        from argosy_agent.serving.slot import Slot

        return Slot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
