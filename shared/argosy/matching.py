"""Which runtime of a device runs a variant: the controller asks before it offers one, the device before it fetches one."""

from __future__ import annotations

from argosy.protocol.card import Card
from argosy.protocol.reported import Capabilities, Runtime, newest_ml_opset, newest_opset

#: Whose operators a runtime brings with it, beside those of the format itself; of one that is not here, nothing is known.
_DOMAINS = {"onnxruntime": frozenset({"ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"})}
_MOST_NAMED = 3


def runtime_for(card: Card, capabilities: Capabilities) -> tuple[str, str]:
    """The first runtime of a device, in its order of preference, that runs a variant.

    What a device or a card does not tell speaks against nothing: devices of older releases keep getting variants.

    Returns:
        The runtime's name and ""; or "" and why the device cannot run the variant, in words that follow the variant's name.
    """
    if capabilities.precisions and card.precision not in capabilities.precisions:
        return "", f"the device takes {'/'.join(capabilities.precisions)} alone"
    if 0 < capabilities.memory_bytes < card.needs.memory_bytes:
        return "", f"needs {_mib(card.needs.memory_bytes)} of memory, the device has {_mib(capabilities.memory_bytes)}"
    why = {runtime.name: why_not(card, runtime) for runtime in capabilities.runtimes if card.format in runtime.formats}
    runs = next((name for name, reason in why.items() if not reason), "")
    return runs, "" if runs else "; ".join(why.values()) or f"no runtime for {card.format} on the device"


def why_not(card: Card, runtime: Runtime) -> str:
    """What speaks against a runtime that knows the variant's format; empty when nothing does."""
    needs = card.needs
    if needs.runtimes and runtime.name not in needs.runtimes:
        return f"runs in {' or '.join(needs.runtimes)} alone, the device has {_called(runtime)}"
    for domain, opset, newest in (("", needs.opset, newest_opset(runtime)), ("-ML", needs.ml_opset, newest_ml_opset(runtime))):
        if newest and opset > newest:
            return f"uses ONNX{domain} opset {opset}, {_called(runtime)} takes {newest} at most"
    foreign = _foreign(needs.operators, runtime.name)
    return f"uses {foreign}, which {_called(runtime)} does not bring" if foreign else ""


def _foreign(operators: list[str], runtime: str) -> str:
    """The operators of domains that a runtime does not have, the first few named."""
    known = _DOMAINS.get(runtime)
    found = [] if known is None else [one for one in operators if ":" in one and one.rpartition(":")[0] not in known]
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more


def _called(runtime: Runtime) -> str:
    return f"{runtime.name} {runtime.version}".strip()


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
