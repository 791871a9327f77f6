"""Loading beside keeps priorities where they belong, and tells in the caller's thread what went wrong."""

from __future__ import annotations

import os
import sys
import threading

import msgspec
import pytest
import small_models

from argosy.errors import InvalidInput
from argosy_agent import runtimes
from argosy_agent.serving.loading import LOADER_NICENESS, load_beside, load_model


@pytest.fixture
def variant(tmp_path):
    return tmp_path, small_models.write_onnx_variant(tmp_path, small_models.constant_bytes(1))


def _niceness_while_loading(monkeypatch, variant):
    seen, real = [], runtimes.load

    def load(*args, **kwargs):
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return real(*args, **kwargs)

    monkeypatch.setattr(runtimes, "load", load)
    load_beside(variant[0], "onnxruntime", variant[1])
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_only_the_loading_thread_gives_way(monkeypatch, variant):
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert _niceness_while_loading(monkeypatch, variant) == [max(before, LOADER_NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_runtime_that_keeps_the_interpreter_lock_does_not_give_way(monkeypatch, variant):
    monkeypatch.setattr(runtimes, "lets_others_run", lambda _: False)
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert _niceness_while_loading(monkeypatch, variant) == [before]


def test_errors_come_out_in_the_callers_thread(tmp_path, variant):
    with pytest.raises(InvalidInput, match=r"card\.json cannot be read"):
        load_beside(tmp_path / "absent", "onnxruntime", variant[1])


def test_refuses_a_folder_that_holds_another_version(variant):
    with pytest.raises(InvalidInput, match="holds tiny@1 onnx-fp32, not tiny@2 onnx-fp32"):
        load_model(variant[0], "onnxruntime", msgspec.structs.replace(variant[1], version=2))


def test_takes_the_runtime_that_runs_the_format_when_none_is_named(variant):
    assert load_model(variant[0], "", variant[1]).runtime == "onnxruntime"
