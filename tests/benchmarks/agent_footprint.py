"""What an agent takes of a device: proportional memory (PSS) of each of its processes, idle and serving, and how fast it starts.

A real agent (`agent run`, in the device's interpreter where there is one) against a small stand-in for the controller with a real
broker, on a CNN in onnxruntime. Without mosquitto only the serving worker can be measured, and the figures say so.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from agent_process import AgentProcess
from fleet_double import MOSQUITTO, FleetDouble, wait_for
from record import Figure, leave, write
from small_models import cnn_bytes, write_onnx_variant
from worker_process import DEVICE_PYTHON, WorkerProcess

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1, 28, 28], "data": [0.5] * 784}]})


#: After this the agent has done what it does at a start, such as its first look at the repository.
_SETTLE_S = 3.0


def pss_mb(pid: int) -> float:
    """Proportional memory of one process, in megabytes (10**6 bytes)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no Pss of process {pid}")


def children(pid: int) -> list[int]:
    """Processes that a process started, from any of its threads."""
    return [int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()]


def answered(endpoint: str, slot: str) -> bool:
    """Whether one request is answered."""
    try:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=5)
        connection.request("POST", f"/v2/models/{slot}/infer", BODY)
        status = connection.getresponse().status
        connection.close()
    except OSError:
        return False
    return status == 200


def serve_for(endpoint: str, slot: str, requests: int) -> list[float]:
    """Requests over one connection; their durations in microseconds."""
    connection, durations = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=5), []
    for _ in range(requests):
        begin = time.perf_counter()
        connection.request("POST", f"/v2/models/{slot}/infer", BODY)
        connection.getresponse().read()
        durations.append((time.perf_counter() - begin) * 1e6)
    connection.close()
    return durations


def whole_agent(folder: Path, requests: int) -> list[Figure]:
    """Supervisor and worker of a real agent."""
    fleet = FleetDouble(folder)
    fleet.start_broker()
    agent = AgentProcess(fleet, folder / "device", "dev")
    try:
        wait_for(lambda: agent.status().get("connected") and agent.status().get("endpoint"))
        time.sleep(_SETTLE_S)
        figures = _memory(agent, "idle, no model")
        content = fleet.register(folder / "v1", write_onnx_variant(folder / "v1", cnn_bytes(), name="tiny"))
        begin = time.monotonic()
        fleet.wish("dev", {"cnn": content})
        wait_for(lambda: answered(agent.status()["endpoint"], "cnn"))
        figures.append(Figure("desired document published to first answer of an empty slot", time.monotonic() - begin, "s"))
        agent.wait_serving("cnn", 1)
        figures += _memory(agent, "with a model, no requests")
        durations = serve_for(agent.status()["endpoint"], "cnn", requests)
        figures.append(Figure("request over the endpoint, JSON, 784 numbers, median", statistics.median(durations), "µs"))
        figures += _memory(agent, f"after {requests} requests")
        figures.append(Figure("start of the agent to first answer", _restarted(agent), "s"))
    finally:
        agent.kill()
        fleet.close()
    return figures


def _memory(agent: AgentProcess, when: str) -> list[Figure]:
    (worker,) = children(agent.pid)
    parts = {"supervisor": pss_mb(agent.pid), "worker": pss_mb(worker)}
    parts["all processes"] = sum(parts.values())
    return [Figure(f"PSS of {part}, {when}", value, "MB") for part, value in parts.items()]


def _restarted(agent: AgentProcess) -> float:
    agent.terminate()
    begin = time.monotonic()
    agent.start()
    wait_for(lambda: agent.status().get("pid") == agent.pid and answered(agent.status()["endpoint"], "cnn"))
    return time.monotonic() - begin


def worker_alone(folder: Path, requests: int) -> list[Figure]:
    """The serving worker without its supervisor."""
    content = write_onnx_variant(folder / "v1", cnn_bytes(), name="tiny")
    begin = time.monotonic()
    worker = WorkerProcess()
    try:
        figures = [Figure("PSS of worker alone, empty slot", pss_mb(worker.process.pid), "MB")]
        worker.serve("cnn", folder / "v1", content)
        assert answered(f"http://{worker.url}", "cnn")
        figures.append(Figure("start of the worker alone to first answer", time.monotonic() - begin, "s"))
        serve_for(f"http://{worker.url}", "cnn", requests)
        figures.append(Figure(f"PSS of worker alone, after {requests} requests", pss_mb(worker.process.pid), "MB"))
    finally:
        worker.kill()
    return figures


def main() -> None:
    """Measures the whole agent where there is a broker, else the worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    arguments = parser.parse_args()
    measure: Callable[[Path, int], list[Figure]] = worker_alone if MOSQUITTO is None else whole_agent
    print(f"interpreter: {DEVICE_PYTHON.name} of {DEVICE_PYTHON.parents[1].name}")
    with tempfile.TemporaryDirectory() as folder:
        leave(write("agent-footprint", measure(Path(folder), arguments.requests)))


if __name__ == "__main__":
    main()
