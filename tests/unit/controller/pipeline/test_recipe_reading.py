"""Recipes: what is read, and how every mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.errors import InvalidInput, NotFound
from argosy_controller.pipeline.passes.prune_channels import PruneChannelsConfig
from argosy_controller.pipeline.recipes.recipe import Goals, parse_recipe, read_recipe
from argosy_controller.pipeline.recipes.toml_lines import key_lines

GOOD = """\
summary = "half"

[goals]
accuracy_at_least = 0.95
bytes_at_most = 100

[[passes]]
use = "prune-channels"
share = 0.25

[[variants]]
use = "onnx-fp32"

[[variants]]
use = "onnx-int8"
name = "small"
goals = { bytes_at_most = 50 }
"""
EXAMPLES = Path(__file__).parents[4] / "examples"


def test_reads_goals_passes_and_variants() -> None:
    recipe = parse_recipe(GOOD)
    assert recipe.summary == "half"
    assert recipe.steps[0].config == PruneChannelsConfig(share=0.25)
    assert [(one.use, one.name) for one in recipe.variants] == [("onnx-fp32", "onnx-fp32"), ("onnx-int8", "small")]


def test_a_variants_own_goal_replaces_the_common_one_by_name() -> None:
    recipe = parse_recipe(GOOD)
    assert recipe.variants[0].goals == Goals(accuracy_at_least=0.95, bytes_at_most=100)
    assert recipe.variants[1].goals == Goals(accuracy_at_least=0.95, bytes_at_most=50)


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("recipe*.toml")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_example_recipe_is_valid(path: Path) -> None:
    assert read_recipe(path).variants


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("share = 0.25", "sharr = 0.25", 9, "unknown key 'sharr': did you mean 'share'?"),
        ("share = 0.25", "share = 1.5", 9, "'share' is 1.5"),
        ("share = 0.25", 'share = "half"', 9, "expected `float`, got `str`"),
        ('"prune-channels"', '"prune-chanels"', 8, "there is no pass 'prune-chanels': did you mean 'prune-channels'?"),
        ('"onnx-int8"', '"onnx-in8"', 15, "there is no variant 'onnx-in8': did you mean 'onnx-int8'?"),
        ("accuracy_at_least", "acuracy_at_least", 4, "did you mean 'accuracy_at_least'?"),
        ("accuracy_at_least = 0.95", "accuracy_at_least = 95", 4, "'accuracy_at_least' is 95"),
        ("[goals]", "[goal]", 3, "unknown key 'goal': did you mean 'goals'?"),
        ('use = "prune-channels"', "", 7, "a pass needs use = ..."),
        ('name = "small"', 'name = "Not/A/Name"', 16, "variant name 'Not/A/Name' is not usable"),
        ('name = "small"', 'name = "onnx-fp32"', 14, "variant 'onnx-fp32' is there twice"),
        ('name = "small"', 'nam = "small"', 16, "unknown key 'nam': did you mean 'name'?"),
        ('summary = "half"', "summary = 5", 1, "'summary' must be text"),
        ("[[passes]]", "[passes]", 7, "write [[passes]]"),
        ("goals = { bytes_at_most = 50 }", "goals = 5", 17, "'goals' must be a table"),
    ],
)
def test_names_line_key_and_nearest_right_name(before: str, after: str, line: int, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_recipe(GOOD.replace(before, after, 1), "my.toml")
    assert str(caught.value).startswith(f"my.toml line {line}: ")
    assert says in str(caught.value)


def test_says_where_toml_is_broken() -> None:
    with pytest.raises(InvalidInput, match=r"not TOML: .*line 1"):
        parse_recipe("goals = = 3")


def test_refuses_a_recipe_without_variants() -> None:
    with pytest.raises(InvalidInput, match=r"names no variant: add \[\[variants\]\]"):
        parse_recipe("")


def test_refuses_a_recipe_that_is_missing_huge_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        read_recipe(tmp_path / "no.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_recipe(tmp_path / "binary.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(InvalidInput, match="larger than"):
        read_recipe(tmp_path / "huge.toml")


def test_lines_are_found_under_tables_arrays_and_dotted_keys() -> None:
    lines = key_lines('a = 1\n[b.c]\n"d" = 2\n[[e]]\nf.g = 3\n[[e]] # second\nf = 4\n')
    assert lines[("a",)] == 1
    assert lines[("b", "c", "d")] == 3
    assert lines[("e", 0, "f", "g")] == 5
    assert lines[("e", 1)] == 6
    assert lines[("e", 1, "f")] == 7
