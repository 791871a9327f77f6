"""`controller recipes`: complete, quick, and never behind the registries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from argosy.errors import NotFound
from argosy_controller.cli import controller
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.recipes.recipe import parse_recipe
from argosy_controller.pipeline.recipes.reference import Entry, entries, entry, example, toml
from argosy_controller.pipeline.recipes.reference_page import markdown

PAGE = Path(__file__).parents[4] / "docs" / "reference-passes.md"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(controller, ["recipes", *arguments])


def test_lists_every_pass_and_variant_with_a_line() -> None:
    lines = _run().output.splitlines()
    for name in (*PASSES, *EXPORTERS):
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in lines), name


@pytest.mark.parametrize("one", entries(), ids=lambda one: one.name)
def test_every_option_is_described_and_has_its_default_in_range(one: Entry) -> None:
    assert one.what
    for option in one.options:
        assert option.description, f"{one.name}.{option.name} has no sentence: give it Meta(description=...)"
        assert not option.choices or option.default is None or isinstance(option.default, list) or option.default in option.choices


@pytest.mark.parametrize("one", [one for one in entries() if one.kind != "table"], ids=lambda one: one.name)
def test_example_is_a_recipe_with_the_defaults(one: Entry) -> None:
    whole = example(one) if one.kind == "variant" else f'{example(one)}\n[[variants]]\nuse = "onnx-fp32"\n'
    read = parse_recipe(whole)
    part = read.variants[0] if one.kind == "variant" else read.steps[0]
    assert part.use == one.name
    assert part.config == type(part.config)()


def test_shows_options_by_name_alone_or_after_show() -> None:
    shown = _run("prune-channels").output
    assert shown == _run("show", "prune-channels").output
    for text in ("share", "0 to 0.95", "arXiv:2301.12900", 'use = "prune-channels"', "share of channels removed"):
        assert text in shown


def test_says_which_kind_of_model_a_pass_changes() -> None:
    assert "Changes a network of torch's layers" in _run("prune-channels").output
    assert "Changes a fitted estimator of scikit-learn" in _run("thin-forest").output
    listed = _run().output
    assert listed.index("Passes on fitted estimators") < listed.index("thin-forest") < listed.index("Variants:")


def test_goals_and_search_are_listed_with_their_keys() -> None:
    assert {"accuracy_drop_at_most", "bytes_at_most"} <= {option.name for option in entry("goals").options}
    assert "bayes" in _run("search").output


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean 'prune-channels'"):
        entry("prune-chanels")
    assert isinstance(_run("prune-chanels").exception, NotFound)


def test_json_is_one_document_of_the_same() -> None:
    assert msgspec.json.decode(_run("--json").output, type=list[Entry]) == entries()
    assert msgspec.json.decode(_run("finetune", "--json").output, type=Entry) == entry("finetune")


def test_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text() == markdown(entries()), "docs/reference-passes.md is stale: run 'make reference'"


def test_reference_page_names_every_option() -> None:
    page = markdown(entries())
    for one in entries():
        assert f"### {one.name}\n" in page
        assert all(f"`{option.name}`" in page for option in one.options)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (0.5, "0.5"), (1e-05, "1e-05"), ('a"b', '"a\\"b"'), ([1, 2], "[1, 2]"), ({}, "{}")]
)
def test_defaults_are_written_as_toml(value: object, text: str) -> None:
    import tomllib

    assert toml(value) == text
    assert tomllib.loads(f"x = {text}")["x"] == value


def test_listing_imports_no_framework() -> None:
    code = (
        "import sys; from argosy_controller.cli import controller;"
        "controller.main(['recipes'], standalone_mode=False);"
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'scipy', 'sklearn', 'coremltools') if m in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stderr.strip() == "[]"
