"""The handle: no request fails or mixes models during swaps, each is counted exactly once, old models are released."""

from __future__ import annotations

import threading
import weakref
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy.errors import InvalidInput, NotFound, Unavailable
from argosy.histogram import Histogram
from argosy.protocol.card import Card, FileRef, TensorSpec
from argosy.protocol.desired import SlotContent
from argosy_agent.runtimes.session import ModelFailed, Signature
from argosy_agent.serving.folding import fold
from argosy_agent.serving.handle import Handle, Model

SPEC = TensorSpec(name="x", dtype="float32", shape=[2])
X = {"x": np.zeros(2, np.float32)}


class Echo:
    """A session whose outputs are all its number."""

    def __init__(self, number, spec=SPEC, gate=None, fails=False):
        self.number, self.gate, self.fails, self.signature = number, gate, fails, Signature([spec])
        self.entered = threading.Event()

    def run(self, inputs):
        self.signature.check(inputs)
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.fails:
            raise ModelFailed("broken")
        return {"a": np.full(2, self.number), "b": np.full(2, self.number)}


def _model(version, **kwargs):
    content = SlotContent(model="m", version=version, variant="v", sha256=f"{version:064}", length=1)
    file = FileRef(name="model.onnx", sha256=content.sha256, length=1)
    card = Card(model="m", version=version, variant="v", format="onnx", precision="fp32", inputs=[SPEC], outputs=[], model_file=file)
    return Model(content, card, Echo(version, **kwargs), "fake")


def _totals(counts):
    return {one.content.version: (one.requests, one.errors) for one in counts}


def test_empty_slot_says_so():
    with pytest.raises(Unavailable, match="slot 's' serves nothing yet"):
        Handle("s").predict(X)


def test_answer_tells_which_model_gave_it_and_refuses_another_version():
    handle = Handle("s")
    handle.swap(_model(3))
    outputs, model = handle.answer(X, 3)
    assert outputs["a"][0] == model.content.version == 3
    with pytest.raises(NotFound, match="serves version 3, not 4"):
        handle.answer(X, 4)


def test_counts_requests_and_errors_per_content():
    times = iter(range(100))
    handle = Handle("s", clock=lambda: float(next(times)))
    handle.swap(_model(1))
    for _ in range(5):
        handle.predict(X)
    handle.swap(_model(2, fails=True))
    with pytest.raises(ModelFailed):
        handle.predict(X)
    counts = handle.collect()
    assert _totals(counts) == {1: (5, 0), 2: (1, 1)}
    assert sum(n for _, n in counts[0].latency.buckets) == 5 and counts[1].latency.buckets == []
    assert all(one.duration_s > 0 for one in counts)
    assert handle.collect() == []


def test_wrong_inputs_are_not_counted():
    handle = Handle("s")
    handle.swap(_model(1))
    with pytest.raises(InvalidInput):
        handle.predict({"y": X["x"]})
    assert handle.collect() == []


def test_wrong_inputs_count_as_errors_when_the_version_before_took_them():
    handle = Handle("s")
    handle.swap(_model(1))
    handle.swap(_model(2, spec=TensorSpec(name="renamed", dtype="float32", shape=[2])))
    for inputs in (X, {"nonsense": X["x"]}):
        with pytest.raises(InvalidInput):
            handle.predict(inputs)
    assert _totals(handle.collect()) == {2: (1, 1)}


def test_old_model_lives_until_its_last_request_has_ended_and_is_not_released_by_it():
    gate, idle = threading.Event(), threading.Event()
    handle = Handle("s", on_idle=idle.set)
    slow = _model(1, gate=gate)
    alive = weakref.ref(slow.session)
    handle.swap(slow)
    del slow
    answers = []
    request = threading.Thread(target=lambda: answers.append(handle.predict(X)))
    request.start()
    assert handle.model.session.entered.wait(5)
    handle.swap(_model(2))
    assert handle.predict(X)["a"][0] == 2  # does not wait for the request that is in flight
    assert handle.release() == 1 and alive() is not None
    gate.set()
    request.join()
    assert idle.wait(5) and alive() is not None
    assert handle.release() == 0 and alive() is None
    assert answers[0]["a"][0] == 1
    assert _totals(handle.collect()) == {1: (1, 0), 2: (1, 0)}
    assert handle._retired == []


def test_counts_of_a_request_that_outlives_a_collect_come_with_the_next():
    gate = threading.Event()
    handle = Handle("s")
    handle.swap(_model(1, gate=gate))
    request = threading.Thread(target=lambda: handle.predict(X))
    request.start()
    assert handle.model.session.entered.wait(5)
    handle.swap(_model(2))
    assert handle.collect() == []
    gate.set()
    request.join()
    assert _totals(handle.collect()) == {1: (1, 0)}


@settings(max_examples=8, deadline=None)
@given(threads=st.integers(1, 4), swaps=st.integers(0, 40), collects=st.integers(1, 20))
def test_every_request_is_counted_exactly_once_whatever_swaps_and_collects(threads, swaps, collects):
    handle, each, seen, mixed = Handle("s"), 300, [], []
    handle.swap(_model(0))

    def call():
        for _ in range(each):
            answer = handle.predict(X)
            if len({*answer["a"], *answer["b"]}) != 1:
                mixed.append(answer)

    def collect():
        for _ in range(collects):
            handle.fold()
            seen.extend(handle.collect())

    running = [threading.Thread(target=call) for _ in range(threads)] + [threading.Thread(target=collect)]
    for thread in running:
        thread.start()
    for version in range(1, swaps + 1):
        handle.swap(_model(version))
        handle.release()
    for thread in running:
        thread.join()
    seen.extend(handle.collect())
    assert mixed == []
    assert sum(one.requests for one in seen) == threads * each
    assert sum(count for one in seen for _, count in one.latency.buckets) + sum(one.latency.zeros for one in seen) == threads * each
    assert handle.release() == 0


@given(values=st.lists(st.integers(0, 1 << 45) | st.integers(0, 44).map(lambda k: 1 << k), max_size=200))
def test_folding_many_gives_the_same_histogram_as_recording_each(values):
    one, other = Histogram(), Histogram()
    for value in values:
        one.record(value)
    fold(array("q", values), other)
    assert one == other
