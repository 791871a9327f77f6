"""What is made of a ready file, in this process: refusals are one sentence each, and leave nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import GoalsNotMet, InvalidInput, NotFound
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy_controller.pipeline.files.sample import Whole
from argosy_controller.pipeline.processes.messages import ImportRequest
from argosy_controller.pipeline.ready_files import import_file
from argosy_controller.pipeline.report import Report, read_report
from argosy_controller.pipeline.reproducing import import_command

sys.path.insert(0, str(Path(__file__).parents[4] / "support"))
from two_layers import rows, small


def imported(
    tmp_path: Path,
    file: Path,
    sample: dict[str, np.ndarray] | None,
    *variants: str,
    recipe: str = "",
    trust_pickle: bool = False,
    companions: tuple[Path, ...] = (),
) -> tuple[Report, dict[str, Card]]:
    """The report, and cards by variant."""
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    if sample is not None:
        np.savez(tmp_path / "sample.npz", **sample)  # type: ignore[arg-type]
    (tmp_path / "recipe.toml").write_text(recipe)
    request = ImportRequest(
        model="mine",
        file=str(file),
        sample=str(tmp_path / "sample.npz") if sample is not None else "",
        companions=[str(one) for one in companions],
        out=str(out),
        seed=0,
        variants=list(variants),
        recipe=str(tmp_path / "recipe.toml") if recipe else "",
        trust_pickle=trust_pickle,
    )
    import_file(request, lambda stage, done, total: None)
    cards = {one.name: from_json(Card, (one / "card.json").read_bytes()) for one in (out / "variants").iterdir()}
    return read_report((out / "report.json").read_bytes()), cards


def refused(tmp_path: Path, says: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises((InvalidInput, NotFound)) as caught:
        imported(tmp_path, *arguments, **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_recipe_shares_weights_of_a_graph_which_then_packs_exactly(tmp_path: Path) -> None:
    passes = '[[passes]]\nuse = "optimise-graph"\n[[passes]]\nuse = "share-weights"\nlinear_bits = 2\n'
    variants = '[[variants]]\nuse = "onnx-packed"\n[[variants]]\nuse = "onnx-fp32"\n[variants.goals]\nbytes_at_most = 100_000\n'
    report, cards = imported(tmp_path, small(tmp_path), rows(), recipe=passes + variants)
    assert [one.step for one in report.steps] == ["given", "optimise-graph", "share-weights"]
    assert all(one.parity is not None and one.parity.max_abs_diff is not None and one.parity.max_abs_diff < 1e-4 for one in cards.values())
    assert [one.met for one in report.goals] == [True]
    assert "optimise-graph" in cards["onnx-packed"].lineage["passes"]


def test_goal_that_is_not_met_leaves_a_report_and_no_variant(tmp_path: Path) -> None:
    recipe = '[[variants]]\nuse = "onnx-fp32"\n[variants.goals]\nbytes_at_most = 10\n'
    with pytest.raises(GoalsNotMet):
        imported(tmp_path, small(tmp_path), rows(), recipe=recipe)
    assert not (tmp_path / "out" / "variants").exists()
    assert read_report((tmp_path / "out" / "report.json").read_bytes()).goals[0].met is False


def test_few_examples_are_told(tmp_path: Path) -> None:
    _, cards = imported(tmp_path, small(tmp_path), rows(9), "onnx-fp32")
    assert cards["onnx-fp32"].parity.reason == "the sample has 9 examples, of 200 that would say more"  # type: ignore[union-attr]


def test_what_cannot_be_is_refused_in_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    file = small(tmp_path)
    refused(tmp_path, "there is no variant 'onnx-int9': did you mean", file, rows(), "onnx-int9")
    refused(tmp_path, "variant 'onnx-int8' is asked for twice", file, rows(), "onnx-int8", "onnx-int8")
    refused(tmp_path, "give some with --sample FILE.npz", file, None, "onnx-int8")
    refused(tmp_path, "lacks an array for input 'x'", file, {}, "onnx-int8")
    refused(tmp_path, "has shape [3, 5], the model takes [any, 6]", file, {"x": np.zeros((3, 5), np.float32)}, "onnx-int8")
    search = '[search]\nmethod = "random"\n[[passes]]\nuse = "share-weights"\nlinear_bits = { low = 2, high = 4 }\n[[variants]]\nuse = "onnx-fp32"\n'
    refused(tmp_path, "has [search] or [task]", file, rows(), recipe=search)
    goal = '[[variants]]\nuse = "onnx-fp32"\n[variants.goals]\naccuracy_at_least = 0.9\n'
    refused(
        tmp_path,
        "accuracy_at_least of variant 'onnx-fp32' cannot be asked: an import brings inputs and no right answers",
        file,
        rows(),
        recipe=goal,
    )
    mixed = '[[variants]]\nuse = "onnx-int8"\nmixed_drop_at_most = 0.1\n'
    refused(tmp_path, "mixed_drop_at_most of variant 'onnx-int8' cannot be asked", file, rows(), recipe=mixed)
    layers = '[[passes]]\nuse = "prune-magnitude"\n[[variants]]\nuse = "onnx-fp32"\n'
    refused(tmp_path, "pass prune-magnitude changes layers of torch, and this model is a whole ONNX graph", file, rows(), recipe=layers)


def test_operator_without_a_counterpart_is_named_with_its_node(tmp_path: Path) -> None:
    says = "model.onnx does not convert: operator 'Selu' (node 'between') has no counterpart here"
    refused(tmp_path, says, small(tmp_path, "Selu"), rows(), "onnx-fp32", "tflite-fp32")


def test_quantised_files_make_no_further_variants(tmp_path: Path) -> None:
    imported(tmp_path, small(tmp_path), rows(), "onnx-int8")
    quantised = (tmp_path / "out" / "variants" / "onnx-int8" / "model.onnx").rename(tmp_path / "int8.onnx")
    again = tmp_path / "again"
    again.mkdir()
    refused(again, "int8.onnx is int8 already, and variants are made of single precision", quantised, rows(), "tflite-fp32")


def test_tflite_files_make_no_other_variants(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    refused(tmp_path, "model.tflite is a TFLite file, of which no other variants are made", file, rows(), "onnx-fp32")


def test_examples_of_a_state_are_given_one_at_a_time() -> None:
    state = Whole([np.full((2, 1, 3), number) for number in range(4)])
    assert len(state[1:3]) == 2
    assert np.asarray(state[2:3]).shape == (2, 1, 3)
    assert float(np.asarray(state[2:3])[0, 0, 0]) == 2
    with pytest.raises(InvalidInput, match="3 examples of this model make no batch"):
        np.asarray(state[0:3])


def test_command_makes_the_same_again() -> None:
    request = ImportRequest(
        model="digits",
        file="/a/m.onnx",
        sample="/b/s.npz",
        companions=["/c/l.txt"],
        out="",
        seed=0,
        variants=["onnx-int8"],
        recipe="/d/r.toml",
    )
    wanted = "controller models import digits m.onnx --sample s.npz --recipe r.toml --variant onnx-int8 --with l.txt"
    assert import_command(request) == wanted


@pytest.fixture
def forest(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    import skops.io
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier

    table = load_wine()
    columns = table.data.astype(np.float32)
    skops.io.dump(
        RandomForestClassifier(5, max_depth=4, random_state=0).fit(columns, table.target_names[table.target]), tmp_path / "forest.skops"
    )
    return tmp_path / "forest.skops", {"features": columns}


def test_fitted_estimator_becomes_onnx_with_labels_beside(tmp_path: Path, forest: tuple[Path, dict[str, np.ndarray]]) -> None:
    report, cards = imported(tmp_path, *forest, "onnx-fp32")
    card = cards["onnx-fp32"]
    assert card.parity is not None
    assert (card.parity.source, card.parity.examples, card.parity.agreement) == ("scikit-learn", 178, 1.0)
    assert [one.name for one in card.outputs] == ["probabilities", "label"]
    assert (tmp_path / "out" / "variants" / "onnx-fp32" / "labels.txt").read_text().split() == ["class_0", "class_1", "class_2"]
    assert report.kind == "import"


def test_class_names_of_an_estimator_keep_the_rules_of_a_tasks_labels(tmp_path: Path) -> None:
    import skops.io
    from sklearn.tree import DecisionTreeClassifier

    columns = np.arange(400, dtype=np.float32).reshape(200, 2)
    tree = DecisionTreeClassifier(max_depth=2).fit(columns, np.array(["good", "two\nlines"])[np.arange(200) // 100])
    file, labels = tmp_path / "tree.skops", tmp_path / "labels.txt"
    skops.io.dump(tree, file)
    labels.write_text("good\nbad\n")
    says = r"label 1 of the estimator in tree.skops, 'two\nlines', is empty or has a line break in it: give each class a name of one line"
    refused(tmp_path, says, file, {"features": columns}, "onnx-fp32")
    imported(tmp_path, file, {"features": columns}, "onnx-fp32", companions=(labels,))
    assert (tmp_path / "out" / "variants" / "onnx-fp32" / "labels.txt").read_text() == "good\nbad\n"


def test_estimator_without_a_sample_or_with_other_columns_is_refused(tmp_path: Path, forest: tuple[Path, dict[str, np.ndarray]]) -> None:
    file, sample = forest
    refused(tmp_path, "give some with --sample FILE.npz", file, None)
    refused(tmp_path, "the model takes [any, 13]", file, {"features": sample["features"][:, :5]})


def test_pickle_is_opened_only_where_it_is_trusted(tmp_path: Path, forest: tuple[Path, dict[str, np.ndarray]]) -> None:
    import pickle

    from sklearn.tree import DecisionTreeClassifier

    file = tmp_path / "tree.pkl"
    columns = forest[1]["features"]
    file.write_bytes(pickle.dumps(DecisionTreeClassifier(max_depth=2).fit(columns, np.arange(len(columns)) % 2)))
    refused(tmp_path, "pickle", file, forest[1])
    assert list(imported(tmp_path, file, forest[1], "onnx-fp32", trust_pickle=True)[1]) == ["onnx-fp32"]
