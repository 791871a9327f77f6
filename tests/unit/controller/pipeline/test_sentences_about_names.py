"""Messages about a wrong name end in the nearest right one, or in all of them, and read as one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy_controller.pipeline.spelling import likeness, nearest


@pytest.mark.parametrize(
    ("wrong", "right", "end"),
    [
        ("ebochs", ["epochs", "share"], ": did you mean 'epochs'?"),
        ("zzz", ["share", "epochs"], ": use one of epochs, share"),
        ("zzz", ["epochs"], ": use epochs"),
        ("zzz", [], ": there are none"),
    ],
)
def test_end_of_a_sentence_about_a_wrong_name(wrong: str, right: list[str], end: str) -> None:
    assert nearest(wrong, right) == end


def test_names_of_a_large_network_are_named_in_part() -> None:
    end = nearest("zzz", [f"layer{number:03}" for number in range(100)])
    assert end.endswith("layer059 and 40 more")


def test_name_that_a_file_should_have_is_no_question() -> None:
    assert likeness("fc.weight", ["fc.weights", "x"]) == "; the nearest name there is 'fc.weights'"
    assert likeness("fc.weight", ["x"]) == ""


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=5))
def test_a_right_name_is_always_offered(wrong: str, right: list[str]) -> None:
    assert (
        nearest(wrong, right) == ": there are none"
        if not right
        else any(repr(one) in nearest(wrong, right) or one in nearest(wrong, right) for one in right)
    )
