"""What is said of a file's answers beside its model's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy_controller.pipeline.numbers.parity import off_by, parity

WANTED = {"logits": np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], np.float32), "label": np.array([1, 0, 1, 0])}


def test_the_largest_difference_of_any_output_counts_and_labels_are_no_numbers():
    got = {"logits": WANTED["logits"] + np.float32(0.25), "label": np.array([0, 0, 0, 0])}
    found = parity("torch", WANTED, got, ["onnxruntime"], classes=True)
    assert (found.max_abs_diff, found.agreement, found.examples, found.verified_by) == (0.25, 1.0, 4, ["onnxruntime"])


def test_agreement_is_the_share_of_examples_with_the_same_class():
    got = WANTED | {"logits": np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], np.float32)}
    assert parity("torch", WANTED, got, [], classes=True).agreement == 0.75


def test_a_sequence_agrees_only_where_every_place_does():
    wanted = {"tokens": np.eye(3, dtype=np.float32)[np.array([[0, 1], [2, 0]])]}
    got = {"tokens": np.eye(3, dtype=np.float32)[np.array([[0, 1], [2, 1]])]}
    assert parity("torch", wanted, got, [], classes=True).agreement == 0.5


def test_without_classes_nothing_agrees_or_disagrees():
    assert (
        parity("torch", {"value": np.ones((3, 1), np.float32)}, {"value": np.ones((3, 1), np.float32)}, [], classes=False).agreement is None
    )


def test_only_labels_have_no_largest_difference():
    assert parity("torch", {"label": np.array([1])}, {"label": np.array([0])}, [], classes=True).max_abs_diff is None


@pytest.mark.parametrize(
    ("one", "two", "off"), [(np.nan, np.nan, 0.0), (np.inf, np.inf, 0.0), (np.nan, 1.0, np.inf), (np.inf, -np.inf, np.inf)]
)
def test_what_is_no_number_equals_only_itself(one, two, off):
    assert parity("torch", {"y": np.array([one])}, {"y": np.array([two])}, [], classes=False).max_abs_diff == off


@given(st.floats(-1e3, 1e3, width=32), st.floats(0, 1, width=32))
def test_a_bound_is_a_share_of_an_outputs_size_but_at_least_of_one(value, off):
    wanted, got = {"y": np.array([[value]])}, {"y": np.array([[value]]) + off}
    allowed = 0.01 * max(1.0, abs(value))
    if abs(float(got["y"][0, 0] - value) - allowed) > 1e-9:
        assert (off_by(wanted, got, 0.01) is None) == (float(got["y"][0, 0] - value) < allowed)


def test_the_output_that_is_off_is_named():
    assert off_by(WANTED, WANTED | {"logits": WANTED["logits"] * 2}, 1e-4) == ("logits", 3.0)
    assert off_by(WANTED, WANTED, 0.0) is None
    assert off_by({"y": np.array([1.0])}, {"y": np.array([np.nan])}, 1e9) == ("y", np.inf)


def test_the_last_digits_of_large_numbers_are_given_as_the_reason():
    wanted = {"value": np.array([[346.0], [-12.0]], np.float32)}
    assert "as large as 346" in parity("scikit-learn", wanted, {"value": wanted["value"] + np.float32(2e-4)}, [], classes=False).reason
    assert parity("scikit-learn", wanted, {"value": wanted["value"] + np.float32(0.1)}, [], classes=False).reason == ""
    assert parity("scikit-learn", wanted, wanted, [], classes=False).reason == ""
