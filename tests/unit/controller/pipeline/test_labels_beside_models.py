"""Names of classes travel beside a model, one a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy_controller.pipeline.files.labels import check_labels, written_labels


def test_names_of_classes_are_lines_in_the_order_of_the_classes(tmp_path: Path) -> None:
    (path,) = written_labels(("cat", "Dachshund, längs", "犬"), tmp_path)
    assert path.name == "labels.txt"
    assert path.read_bytes() == "cat\nDachshund, längs\n犬\n".encode()


def test_a_task_without_labels_brings_no_companion(tmp_path: Path) -> None:
    assert written_labels((), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["two\nlines", "two\r", "a\u2028b", "", "\x85", "form\ffeed"])
def test_a_label_with_a_line_break_is_refused_by_number(label: str) -> None:
    with pytest.raises(InvalidInput, match=r"label 1 of task 'pets', .*, is empty or has a line break in it: give each class a name"):
        check_labels(["cat", label], "task 'pets'")


@pytest.mark.parametrize("label", ["x" * 1001, "\ud800"])
def test_a_label_that_is_no_short_text_is_refused(label: str) -> None:
    with pytest.raises(InvalidInput, match="label 0 of task 'pets' is longer than 1000 characters, or is no text"):
        check_labels([label], "task 'pets'")


@given(st.lists(st.text(max_size=20), max_size=5))
def test_what_is_accepted_is_read_back_line_by_line(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    try:
        check_labels(labels, "task 't'")
    except InvalidInput:
        return
    for path in written_labels(labels, tmp_path_factory.mktemp("labels")):
        assert path.read_bytes().decode().splitlines() == labels
