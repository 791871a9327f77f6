"""Public names that a Core ML file cannot have are refused before anything is converted."""

from __future__ import annotations

import pytest

from argosy.errors import InvalidInput
from argosy_controller.pipeline.exporters.absent import ABSENT
from argosy_controller.pipeline.exporters.coreml_names import check_names


def test_names_of_python_and_of_other_formats_are_kept() -> None:
    check_names(["lambda", "_hidden", "x1"], ["class", "def", "output"])


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        (
            ["a.b"],
            ["y"],
            "input 'a.b' cannot be called so in a Core ML file, because it is not made of letters, digits and _ alone: rename it",
        ),
        (["x"], ["class probs"], "output 'class probs' cannot be called so"),
        (["x"], ["1st"], "output '1st' cannot be called so"),
        (["größe"], ["y"], "input 'größe' cannot be called so"),
        (["tensor"], ["y"], "input 'tensor' cannot be called so in a Core ML file, because it is a word of its own language"),
        (["x"], ["state"], "output 'state' cannot be called so"),
        (["x"], ["x"], "output 'x' shares its name with another, and a Core ML file has each name once: rename one in the task"),
        (["x", "x"], ["y"], "input 'x' shares its name with another"),
    ],
)
def test_names_that_would_be_changed_or_collide_are_refused(inputs: list[str], outputs: list[str], says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_names(inputs, outputs)
    assert says in str(caught.value)


def test_absent_variants_name_what_comes_nearest() -> None:
    assert "coreml-int8-weights" in ABSENT["coreml-int8"]
    assert "kmeans" in ABSENT["coreml-int4"]
    assert not {"coreml-fp32", "coreml-packed", "coreml-int8-weights"} & set(ABSENT)
