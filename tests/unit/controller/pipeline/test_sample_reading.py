"""Samples for imports: how arrays become single requests, and every way in which they may not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.files.sample import random_requests, sample_requests

IMAGE = TensorSpec(name="image", dtype="float32", shape=[None, 1, 8])
FIXED = TensorSpec(name="image", dtype="float32", shape=[1, 8])
STATE = TensorSpec(name="state", dtype="float32", shape=[2, 1, 3])
RATE = TensorSpec(name="rate", dtype="int64", shape=[])


def _sample(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "inputs.npz", **arrays)
    return tmp_path / "inputs.npz"


def test_splits_the_first_dimension_into_single_examples(tmp_path: Path) -> None:
    images = np.arange(160, dtype=np.float32).reshape(20, 1, 8)
    requests, how = sample_requests(_sample(tmp_path, image=images), [IMAGE])
    assert [one["image"].shape for one in requests] == [(1, 1, 8)] * 8
    assert np.array_equal(requests[3]["image"][0], images[3])
    assert how == "probes are the first 8 of 20 examples of inputs.npz"


def test_takes_examples_along_a_leading_dimension_of_their_own(tmp_path: Path) -> None:
    sample = _sample(tmp_path, image=np.zeros((3, 1, 8), np.float32), state=np.zeros((3, 2, 1, 3), np.float32))
    requests, _ = sample_requests(sample, [FIXED, STATE])
    assert [(one["image"].shape, one["state"].shape) for one in requests] == [((1, 8), (2, 1, 3))] * 3


def test_uses_a_single_tensor_for_every_example(tmp_path: Path) -> None:
    sample = _sample(tmp_path, image=np.zeros((3, 8), np.float32), state=np.ones((2, 1, 3), np.float32), rate=np.array(16000))
    requests, _ = sample_requests(sample, [FIXED, STATE, RATE])
    assert [int(one["rate"]) for one in requests] == [16000] * 3


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"imgae": np.zeros((2, 1, 8), np.float32)}, "'imgae', which is no input of the model: did you mean 'image'?"),
        ({}, "lacks an array for input 'image'"),
        ({"image": np.zeros((2, 1, 9), np.float32)}, "has shape [2, 1, 9], the model takes [any, 1, 8] per example"),
        ({"image": np.zeros((0, 1, 8), np.float32)}, "has shape [0, 1, 8]"),
        ({"image": np.zeros(8, np.float32)}, "has shape [8]"),
        ({"image": np.zeros((2, 1, 8))}, "has dtype float64, the model takes float32"),
        ({"image": np.array([{}], dtype=object)}, "holds pickled Python objects, which are never opened"),
    ],
)
def test_refuses_a_sample_of_wrong_name_shape_or_dtype(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sample_requests(_sample(tmp_path, **arrays), [IMAGE])
    assert says in str(caught.value)


def test_refuses_inputs_with_different_numbers_of_examples(tmp_path: Path) -> None:
    sample = _sample(tmp_path, image=np.zeros((3, 8), np.float32), state=np.zeros((4, 2, 1, 3), np.float32))
    with pytest.raises(InvalidInput, match=r"different numbers of examples \(image 3, state 4\)"):
        sample_requests(sample, [FIXED, STATE])


def test_refuses_a_sample_that_is_no_npz_or_damaged_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    with pytest.raises(InvalidInput, match="does not exist"):
        sample_requests(path, [IMAGE])
    for content in (b"", b"text", pickle.dumps({"image": [1]})):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match="is no npz file"):
            sample_requests(path, [IMAGE])
    whole = _sample(tmp_path, image=np.zeros((3, 1, 8), np.float32)).read_bytes()
    path.write_bytes(whole.replace(b"\x93NUMPY", b"\x93NUMPX"))
    with pytest.raises(InvalidInput, match=r"is no npz file|damaged"):
        sample_requests(path, [IMAGE])


def test_refuses_a_sample_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy_controller.pipeline.files.sample._MAX_BYTES", 1000)
    np.savez_compressed(tmp_path / "bomb.npz", image=np.zeros(10_000, np.float32))
    with pytest.raises(InvalidInput, match=r"unpacks to .* at most 1000 are read"):
        sample_requests(tmp_path / "bomb.npz", [IMAGE])


def test_made_up_inputs_are_the_same_for_the_same_seed_and_told_as_such() -> None:
    (one, how), (two, _) = random_requests([IMAGE], 5), random_requests([IMAGE], 5)
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(one, two, strict=True))
    assert (len(one), one[0]["image"].shape, one[0]["image"].dtype) == (8, (1, 1, 8), np.float32)
    assert "random inputs (standard normal, seed 5)" in how


def test_integers_are_not_made_up() -> None:
    with pytest.raises(InvalidInput, match=r"'rate' takes int64, .* give real ones with --sample"):
        random_requests([IMAGE, RATE], 0)
