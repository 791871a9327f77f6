"""The worker's promises to the supervisor, over a real channel and a real endpoint."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time

import pytest

from argosy_agent.messages import Collect, Discard, Emptied, Empty, Load, Loaded, LoadFailed, NotReady, Ready, Swap

pytestmark = pytest.mark.integration
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})


def _call(worker, method, path, body=None):
    connection = http.client.HTTPConnection(worker.url, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _infer(worker, slot="digits"):
    return _call(worker, "POST", f"/v2/models/{slot}/infer", BODY)


def test_slot_without_model_answers_503_and_unknown_slot_404(start_worker, constants):
    worker = start_worker()
    assert isinstance(worker.first, Ready)
    assert _infer(worker)[0] == 404
    folder, content = constants[1]
    assert isinstance(worker.ask(Load(slot="digits", folder=str(folder), content=content, runtime="onnxruntime")), Loaded)
    status, answer = _infer(worker)
    assert status == 503 and "serves nothing yet" in answer["error"]


def test_swap_replaces_the_model_and_counts_each_request_once(start_worker, constants):
    worker = start_worker()
    for version in (1, 2):
        worker.serve("digits", *constants[version])
        for _ in range(version * 3):
            status, answer = _infer(worker)
            assert status == 200 and answer["outputs"][0]["data"] == [float(version)] * 4
    counts = worker.ask(Collect()).counts
    assert [(one.content.version, one.requests, one.errors, one.slot) for one in counts] == [(1, 3, 0, "digits"), (2, 6, 0, "digits")]
    assert worker.ask(Collect()).counts == []


def test_discarded_candidate_never_serves(start_worker, constants):
    worker = start_worker()
    folder, content = constants[1]
    worker.ask(Load(slot="digits", folder=str(folder), content=content, runtime="onnxruntime"))
    worker.channel.send(Discard(slot="digits"))
    failed = worker.ask(Swap(slot="digits"))
    assert isinstance(failed, LoadFailed) and failed.code == "start-failed"
    assert _infer(worker)[0] == 503


def test_emptied_slot_answers_503(start_worker, constants):
    worker = start_worker()
    worker.serve("digits", *constants[1])
    assert worker.ask(Empty(slot="digits")) == Emptied(slot="digits")
    assert _infer(worker)[0] == 503


def test_failed_load_leaves_the_serving_model_alone(start_worker, constants, tmp_path):
    worker = start_worker()
    worker.serve("digits", *constants[1])
    folder, content = constants[2]
    failed = worker.ask(Load(slot="digits", folder=str(tmp_path / "absent"), content=content, runtime="onnxruntime"))
    assert isinstance(failed, LoadFailed) and failed.code == "start-failed" and failed.content == content
    failed = worker.ask(Load(slot="digits", folder=str(folder), content=constants[1][1], runtime="onnxruntime"))
    assert isinstance(failed, LoadFailed) and "not tiny@1" in failed.text
    assert _infer(worker)[1]["outputs"][0]["data"] == [1.0] * 4


def test_no_request_fails_while_versions_swap(start_worker, constants):
    worker = start_worker()
    worker.serve("digits", *constants[1])
    stop, seen, failures = threading.Event(), [0], []

    def load():
        connection = http.client.HTTPConnection(worker.url, timeout=10)
        while not stop.is_set():
            connection.request("POST", "/v2/models/digits/infer", BODY)
            response = connection.getresponse()
            answer = json.loads(response.read())
            seen[0] += 1
            values = {*answer["outputs"][0]["data"], *answer["outputs"][1]["data"], float(answer["model_version"])}
            if response.status != 200 or len(values) != 1:
                failures.append(answer)
        connection.close()

    client = threading.Thread(target=load)
    client.start()
    try:
        rounds, deadline = 0, time.monotonic() + 60
        while (rounds < 20 or seen[0] <= 20) and time.monotonic() < deadline:
            rounds += 1
            worker.serve("digits", *constants[1 + rounds % 2])
    finally:
        stop.set()
        client.join()
    assert failures == [] and seen[0] > 20
    assert sum(one.requests for one in worker.ask(Collect()).counts) == seen[0]


def test_taken_port_is_told_in_a_sentence(start_worker, taken_port):
    worker = start_worker(endpoint=f"127.0.0.1:{taken_port}")
    assert isinstance(worker.first, NotReady) and f"cannot listen on 127.0.0.1:{taken_port}" in worker.first.text
    assert worker.process.wait(10) == 5


def test_worker_ends_on_stop_on_a_closed_channel_and_on_garbage(start_worker):
    assert start_worker().stop() == 0
    closed = start_worker()
    closed.channel.close()
    assert closed.process.wait(10) == 0
    garbled = start_worker()
    garbled.channel._sock.sendall(b"\xff\xff\xff\xff hostile")
    assert garbled.process.wait(10) == 0


def test_killed_worker_is_seen_as_the_end_of_the_channel(start_worker):
    worker = start_worker()
    worker.process.send_signal(signal.SIGKILL)
    assert worker.channel.receive() is None
    assert worker.process.wait(10) == -signal.SIGKILL
