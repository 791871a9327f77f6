"""The probe passes what answers as signed, and gives every failure its stable code; a crash is seen by the parent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
import small_models
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from argosy.errors import InvalidInput
from argosy.protocol.card import Card, FileRef, Probes, TensorSpec
from argosy.protocol.codec import from_json, to_json
from argosy_agent.messages import ProbeResult
from argosy_agent.probe import judge
from argosy_agent.serving.golden import first_difference, read_golden

EXACT = Probes(count=1, atol=0.0, rtol=0.0)


@pytest.fixture
def folder(tmp_path):
    small_models.write_onnx_variant(tmp_path, small_models.cnn_bytes(side=8))
    return tmp_path


def _change(folder: Path, **changes):
    card = from_json(Card, (folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(to_json(msgspec.structs.replace(card, **changes)))


def _rewrite_probes(folder: Path, change, **changes):
    """Replaces probes.npz by a changed one whose digest the card knows."""
    with np.load(folder / "probes.npz") as stored:
        arrays = change(dict(stored))
    np.savez(folder / "probes.npz", **arrays)
    _change(folder, companions=[small_models.file_ref(folder / "probes.npz")], **changes)


def _altered(arrays):
    arrays["out.y"][2, 1, 3] += 1
    return arrays


def test_passes_a_sound_variant_and_measures_it(folder):
    result = judge(folder, "onnxruntime")
    assert result.ok and result.code == result.text == "" and result.p50_us > 0


def test_refuses_wrong_numbers_and_says_where(folder):
    _rewrite_probes(folder, _altered)
    result = judge(folder, "onnxruntime")
    assert result.code == "probe-numbers" and "probe 3 of 4: output 'y' at [1, 3] is" in result.text


def test_a_proof_that_did_not_run_is_a_failure(folder):
    _change(folder, probes=None)
    result = judge(folder, "onnxruntime")
    assert not result.ok and result.code == "probe-numbers" and "nothing was proved" in result.text


def test_refuses_an_altered_file_by_its_digest(folder):
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    assert judge(folder, "onnxruntime").code == "wrong-bytes"
    (folder / "probes.npz").unlink()
    assert judge(folder, "onnxruntime").code == "wrong-bytes"


@pytest.mark.parametrize("name", ["../card.json", "/etc/passwd", "..", "", "a/b"])
def test_refuses_path_tricks_in_file_names(folder, name):
    _change(folder, companions=[FileRef(name=name, sha256="0" * 64, length=1)])
    assert judge(folder, "onnxruntime").code == "malformed"


def test_refuses_a_file_that_is_no_model(folder):
    (folder / "model.onnx").write_bytes(b"this is no model")
    _change(folder, model_file=small_models.file_ref(folder / "model.onnx"))
    result = judge(folder, "onnxruntime")
    assert result.code == "probe-load" and "cannot load model.onnx" in result.text


def test_refuses_a_runtime_that_is_not_here_or_does_not_fit(folder):
    assert judge(folder, "nonsense").code == "not-runnable"
    assert judge(folder, "ai-edge-litert").code == "not-runnable"


def test_refuses_a_folder_without_card(tmp_path):
    assert judge(tmp_path, "onnxruntime").code == "malformed"


def test_refuses_pickled_probes_without_opening_them(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "pwned",))

    _rewrite_probes(folder, lambda arrays: {**arrays, "in.x": np.array([Evil()] * 4, object)})
    assert judge(folder, "onnxruntime").code == "probe-numbers"
    assert not (tmp_path / "pwned").exists()


def test_refuses_a_decompression_bomb_before_unpacking_it(folder):
    with (
        zipfile.ZipFile(folder / "probes.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("in.x.npy", "w", force_zip64=True) as bomb,
    ):
        for _ in range(300):
            bomb.write(b"\0" * (1 << 20))
    _change(folder, companions=[small_models.file_ref(folder / "probes.npz")])
    result = judge(folder, "onnxruntime")
    assert result.code == "probe-numbers" and "when unpacked" in result.text


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {"in.x": arrays["in.x"]},
        lambda arrays: {**arrays, "in.x": arrays["in.x"][:2]},
        lambda arrays: {**arrays, "in.x": arrays["in.x"].astype(np.float64)},
        lambda arrays: {**arrays, "out.y": arrays["out.y"][..., :3]},
        lambda arrays: {**arrays, "in.x": np.float32(1)},
    ],
)
def test_refuses_probes_that_do_not_fit_the_card(folder, change):
    _rewrite_probes(folder, change)
    with pytest.raises(InvalidInput, match=r"probes\.npz"):
        read_golden(folder, from_json(Card, (folder / "card.json").read_bytes()))
    assert judge(folder, "onnxruntime").code == "probe-numbers"


@given(raw=st.binary(max_size=300))
def test_random_bytes_as_probes_are_refused_in_a_sentence(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("random")
    (folder / "probes.npz").write_bytes(raw)
    spec = TensorSpec(name="x", dtype="float32", shape=[])
    file = FileRef(name="model.onnx", sha256="0" * 64, length=1)
    kind = {"format": "onnx", "precision": "fp32", "inputs": [spec], "outputs": [spec], "model_file": file, "probes": EXACT}
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_golden(folder, Card(model="m", version=1, variant="v", **kind))


@given(values=hnp.arrays(np.float32, hnp.array_shapes(), elements=st.floats(width=32)))
def test_an_answer_always_agrees_with_itself(values):
    assert first_difference({"y": values}, {"y": values.copy()}, EXACT) == ""


@given(
    values=hnp.arrays(np.float64, (4,), elements=st.floats(-1e6, 1e6)), delta=st.floats(-1, 1), atol=st.floats(0, 1), rtol=st.floats(0, 1)
)
def test_numbers_agree_exactly_within_the_cards_tolerance(values, delta, atol, rtol):
    rule, got = Probes(count=1, atol=atol, rtol=rtol), values + delta
    within = (np.abs(got - values) <= atol + rtol * np.abs(values)).all()
    assert (first_difference({"y": got}, {"y": values}, rule) == "") == within


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.array([np.nan], np.float32), np.array([1], np.float32)),
        (np.array([1], np.float32), np.array([np.nan], np.float32)),
        (np.array([np.inf], np.float32), np.array([-np.inf], np.float32)),
        (np.array([1e30], np.float32), np.array([np.inf], np.float32)),
        (np.array([3]), np.array([4])),
        (np.array([True]), np.array([False])),
        (np.array(["a"], object), np.array(["b"])),
        (np.zeros((1, 2), np.float32), np.zeros((2, 1), np.float32)),
    ],
)
def test_different_answers_never_agree(got, expected):
    assert first_difference({"y": got}, {"y": expected}, Probes(count=1, atol=10.0, rtol=10.0))


@pytest.mark.parametrize(("dtype", "apart", "agree"), [("int8", 2, True), ("uint16", 3, False), ("int32", 1, False), ("bool", 1, False)])
def test_only_quantised_integers_may_be_steps_apart(dtype, apart, agree):
    got, expected = np.zeros(3, dtype), np.array([0, apart, 0], dtype)
    assert (first_difference({"y": got}, {"y": expected}, Probes(count=1, atol=9.0, rtol=9.0, steps=2)) == "") == agree


def test_strings_agree_whatever_array_holds_them():
    assert first_difference({"y": np.array(["a", "é"], object)}, {"y": np.array(["a", "é"])}, EXACT) == ""


def _probe(folder: Path, *args: str, code: str = "") -> subprocess.CompletedProcess[bytes]:
    start = ["-c", code] if code else ["-m", "argosy_agent.probe"]
    return subprocess.run([sys.executable, *start, str(folder), "--runtime", "onnxruntime", *args], capture_output=True, timeout=60)


@pytest.mark.integration
def test_command_prints_exactly_one_json_line(folder):
    ran = _probe(folder)
    assert ran.returncode == 0 and ran.stdout.count(b"\n") == 1
    assert msgspec.json.decode(ran.stdout, type=ProbeResult).ok
    (folder / "model.onnx").write_bytes(b"x")
    ran = _probe(folder)
    assert ran.returncode == 0 and json.loads(ran.stdout)["code"] == "wrong-bytes"


@pytest.mark.integration
def test_command_keeps_standard_output_clean_of_what_a_runtime_prints(folder):
    code = (
        "import os, sys, argosy_agent.probe as probe\nreal = probe.judge\n"
        "probe.judge = lambda *a: (os.write(1, b'noise\\n'), print('noise'), real(*a))[2]\nsys.exit(probe.main(sys.argv[1:]))"
    )
    ran = _probe(folder, code=code)
    assert ran.stdout.count(b"\n") == 1 and json.loads(ran.stdout)["ok"] and b"noise" in ran.stderr


@pytest.mark.integration
@pytest.mark.parametrize("sig", [signal.SIGSEGV, signal.SIGABRT])
def test_crash_is_seen_as_an_exit_by_signal(folder, sig):
    code = (
        "import os, sys, argosy_agent.probe as probe\n"
        f"probe.judge = lambda *a: os.kill(os.getpid(), {int(sig)})\nsys.exit(probe.main(sys.argv[1:]))"
    )
    ran = _probe(folder, code=code)
    assert ran.returncode == -sig and ran.stdout == b""


@pytest.mark.integration
def test_model_that_wants_too_much_memory_ends_in_a_refusal_or_a_crash(folder):
    _rewrite_probes(folder, lambda arrays: arrays)
    ran = _probe(folder, "--memory", str(200 << 20))
    assert ran.returncode != 0 or not json.loads(ran.stdout)["ok"]
