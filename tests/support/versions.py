"""Signed versions of one tiny model, each of which answers with its own number."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from agent_process import AgentProcess
from fleet_double import FleetDouble
from small_models import constant_bytes, write_onnx_variant

from argosy.protocol.desired import SlotContent

REQUEST = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}]}).encode()


def version(fleet: FleetDouble, folder: Path, number: int) -> SlotContent:
    """Makes and signs a version."""
    where = folder / f"v{number}"
    return fleet.register(where, write_onnx_variant(where, constant_bytes(number), version=number))


def ask(agent: AgentProcess, slot: str = "tiny") -> float:
    """One request; the answer is the number of the version that gave it."""
    url = f"{agent.status()['endpoint']}/v2/models/{slot}/infer"
    with urllib.request.urlopen(urllib.request.Request(url, REQUEST, {"Content-Type": "application/json"}), timeout=10) as answer:
        return float(json.loads(answer.read())["outputs"][0]["data"][0])
