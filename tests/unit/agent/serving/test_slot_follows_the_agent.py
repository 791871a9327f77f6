"""argosy_agent.Slot: follows what the agent serves, counts into its spool, and says clearly when nothing is there."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import msgspec
import numpy as np
import pytest
import small_models

import argosy_agent
from argosy.errors import InvalidInput, NotFound, Unavailable
from argosy_agent.messages import Counts
from argosy_agent.serving import dropped
from argosy_agent.serving.slot import Current

X = {"x": np.zeros((1, 4), np.float32)}


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    base = tmp_path_factory.mktemp("variants")
    return {
        number: (
            base / str(number),
            small_models.write_onnx_variant(base / str(number), small_models.constant_bytes(number), version=number),
        )
        for number in (1, 2)
    }


@pytest.fixture
def state(tmp_path):
    (tmp_path / "slots").mkdir()
    return tmp_path


def _serve(state, variant):
    current = Current() if variant is None else Current(folder=str(variant[0]), content=variant[1])
    path = state / "slots" / "digits.current.json"
    path.with_suffix(".tmp").write_bytes(msgspec.json.encode(current))
    path.with_suffix(".tmp").replace(path)


def _until(holds, what):
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def _dropped(state):
    files = sorted((state / "spool" / "in").glob(f"*{dropped.SUFFIX}"))
    return [msgspec.msgpack.decode(file.read_bytes(), type=Counts) for file in files]


def test_import_of_the_package_stays_light():
    code = "import sys, argosy_agent; assert 'numpy' not in sys.modules and 'msgspec' not in sys.modules; argosy_agent.Slot"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = argosy_agent.nonsense


def test_says_clearly_when_nothing_is_there(state, monkeypatch):
    monkeypatch.delenv("ARGOSY_STATE", raising=False)
    with pytest.raises(InvalidInput, match=r"no state folder: give state=\.\.\., or set ARGOSY_STATE"):
        argosy_agent.Slot("digits")
    with pytest.raises(NotFound, match="slot 'digits' serves nothing yet"):
        argosy_agent.Slot("digits", state=state)
    with pytest.raises(InvalidInput, match="slot name"):
        argosy_agent.Slot("../digits", state=state)


def test_takes_the_state_folder_from_the_environment(state, variants, monkeypatch):
    _serve(state, variants[1])
    monkeypatch.setenv("ARGOSY_STATE", str(state))
    with argosy_agent.Slot("digits") as slot:
        assert slot.predict(X)["y"].tolist() == [[1.0] * 4] and slot.version == 1


def test_follows_a_swap_while_requests_run_and_counts_each_once(state, variants):
    _serve(state, variants[1])
    sent, wrong, stop = [0], [], threading.Event()
    with argosy_agent.Slot("digits", state=state, poll_s=0.01, report_s=0.05) as slot:

        def call():
            while not stop.is_set():
                answer = slot.predict(X)
                sent[0] += 1
                if len({*answer["y"].flat, *answer["again"].flat}) != 1:
                    wrong.append(answer)

        caller = threading.Thread(target=call)
        caller.start()
        for number in (2, 1, 2):
            _serve(state, variants[number])
            _until(lambda number=number: slot.version == number, f"version {number} was not followed")
        stop.set()
        caller.join()
    assert wrong == []
    counts = _dropped(state)
    assert sum(one.requests for one in counts) == sent[0] and {one.content.version for one in counts} == {1, 2}


def test_emptied_slot_refuses_and_serves_again_later(state, variants):
    _serve(state, variants[1])
    with argosy_agent.Slot("digits", state=state, poll_s=0.01) as slot:
        _serve(state, None)
        _until(lambda: slot.version is None, "the slot was not emptied")
        with pytest.raises(Unavailable):
            slot.predict(X)
        _serve(state, variants[2])
        _until(lambda: slot.version == 2, "version 2 was not followed")


def test_stays_on_its_version_when_the_next_does_not_load(state, variants, caplog):
    _serve(state, variants[1])
    with caplog.at_level(logging.WARNING), argosy_agent.Slot("digits", state=state, poll_s=0.01) as slot:
        _serve(state, (state / "absent", variants[2][1]))
        _until(lambda: "stays on version 1" in caplog.text, "the failure was not told")
        assert slot.predict(X)["y"][0, 0] == 1


def test_close_hands_over_the_last_counts(state, variants):
    _serve(state, variants[1])
    slot = argosy_agent.Slot("digits", state=state, report_s=1000)
    slot.predict(X)
    slot.close()
    slot.close()
    assert [(one.slot, one.requests, one.content) for one in _dropped(state)] == [("digits", 1, variants[1][1])]


@pytest.mark.integration
def test_counts_are_handed_over_when_the_program_ends(state, variants):
    _serve(state, variants[1])
    code = "import argosy_agent, numpy, sys; argosy_agent.Slot('digits', state=sys.argv[1]).predict({'x': numpy.zeros((1, 4), 'float32')})"
    subprocess.run([sys.executable, "-c", code, str(state)], check=True, timeout=60)
    assert [one.requests for one in _dropped(state)] == [1]


@pytest.mark.integration
def test_forked_child_predicts_and_counts_only_its_own(state, variants):
    _serve(state, variants[1])
    code = (
        "import argosy_agent, numpy, os, sys\nx = {'x': numpy.zeros((1, 4), 'float32')}\n"
        "slot = argosy_agent.Slot('digits', state=sys.argv[1], report_s=1000)\nslot.predict(x)\nslot.predict(x)\n"
        "child = os.fork()\nslot.predict(x)\nslot.close()\n"
        "if child:\n    assert os.waitpid(child, 0)[1] == 0\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(state)], check=True, timeout=60)
    assert sorted(one.requests for one in _dropped(state)) == [1, 3]


def test_counts_wait_in_memory_while_nobody_takes_them_up(state, variants, monkeypatch):
    _serve(state, variants[1])
    monkeypatch.setattr(dropped, "MAX_WAITING", 1)
    with argosy_agent.Slot("digits", state=state, report_s=1000) as slot:
        for _ in range(3):
            slot.predict(X)
            slot._report()
        assert [one.requests for one in _dropped(state)] == [1]
        monkeypatch.setattr(dropped, "MAX_WAITING", 1000)
        slot._report()
    assert sorted(one.requests for one in _dropped(state)) == [1, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_predict_goes_on_when_the_spool_cannot_be_written(state, variants):
    _serve(state, variants[1])
    state.chmod(0o500)
    try:
        with argosy_agent.Slot("digits", state=state) as slot:
            assert slot.predict(X)["y"][0, 0] == 1
    finally:
        state.chmod(0o700)
