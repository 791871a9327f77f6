"""build/demo/summary.json: from what was observed, by an observer outside the parts."""

from __future__ import annotations

from typing import Any

import observe
from stage import SLOT, Stage


def summarise(stage: Stage, seconds: float) -> dict[str, Any]:
    """The summary; its schema is that of the first release."""
    found = stage.findings
    return {
        "schema": 1,
        "data": "MNIST, 70,000 images of 28 x 28" if stage.mnist else "scikit-learn load_digits, 1,797 images of 8 x 8",
        "variants": _variants(stage),
        "devices": found.devices,
        "load": _load(stage),
        "slow_version": found.slow,
        "broken_version": found.broken,
        "tampering": {"attempts": found.attempts, "refused": found.refused},
        "controller_killed": found.killed,
        "telemetry": found.telemetry,
        "promises": [{"what": what, "held": held, "seen": seen} for what, held, seen in found.promises],
        "seconds": round(seconds, 1),
    }


def _variants(stage: Stage) -> list[dict[str, Any]]:
    """Those of version 2, the compressed one, as the API tells them."""
    versions = stage.controller.get(f"/models/{SLOT}")["versions"]
    return [_variant(one) for version in versions if version["version"] == 2 for one in version["variants"]]


def _variant(one: dict[str, Any]) -> dict[str, Any]:
    accuracy = one["accuracy"] or {"value": None, "low": None, "high": None}
    return {
        "name": one["name"],
        "format": one["format"],
        "precision": one["precision"],
        "bytes": one["bytes"],
        "accuracy": accuracy["value"],
        "accuracy_low": accuracy["low"],
        "accuracy_high": accuracy["high"],
        "latency_us_p50": one["timings"][0]["p50_us"] if one["timings"] else None,
    }


def _load(stage: Stage) -> dict[str, Any]:
    """What clients saw: latencies end to end over loopback HTTP, in microseconds."""
    steady: list[float] = []
    swapping: list[float] = []
    everything: list[observe.Request] = []
    for device in stage.devices:
        requests = stage.requests(device.name)
        everything += requests
        calm, near = observe.split_by_swaps(requests, without=str(stage.findings.slow.get("version", "")))
        steady += calm
        swapping += near
    return {
        "requests": len(everything),
        "failed": sum(not one.good for one in everything),
        "p50_us_steady": observe.percentile(steady, 0.5),
        "p99_us_steady": observe.percentile(steady, 0.99),
        "p99_us_swapping": observe.percentile(swapping, 0.99),
    }
