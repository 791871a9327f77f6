"""Estimators out of files: what was saved comes back, and what was made to harm, or by something newer, does not open."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from classical_cases import CLASSIFIERS, REGRESSORS, fitted, table
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.content import digest
from argosy_controller.pipeline.classical.reading import read_estimator
from argosy_controller.pipeline.sources.kinds import Kind, is_estimator, kind_of
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.task import Data, Split, Task

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 1.0]])


class Described(Task):
    name = "flowers"
    outputs = ("probabilities", "label")

    def data(self, seed: int) -> Data:
        return Data(train=table("iris"), test=table("iris"))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def _saved(estimator: Any, folder: Path) -> Path:
    path = folder / "model.skops"
    skops.io.dump(estimator, path)
    return path


def _changed(path: Path, change: Callable[[str], str]) -> Path:
    """The file with its schema as text changed."""
    with zipfile.ZipFile(path) as old:
        content = {one.filename: old.read(one) for one in old.infolist()}
    content["schema.json"] = change(content["schema.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            new.writestr(name, data)
    return path


def _opened(path: Path, task: Task, trust_pickle: bool = False) -> Any:
    return open_trained(path, task, task.data(0), 0, trust_pickle=trust_pickle)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("family", "data"), [*((one, "iris") for one in CLASSIFIERS), *((one, "diabetes") for one in REGRESSORS if one != "perceptron-poisson")]
)
def test_estimator_of_every_family_comes_back_whole(family: str, data: str, tmp_path: Path) -> None:
    model, _ = fitted(family, data, "none" if family == "multinomial" else "standard")
    path = _saved(model.estimator, tmp_path)
    assert kind_of(path) is Kind.SKOPS and is_estimator(path, trust_pickle=False)
    assert digest(read_estimator(path)) == digest(model.estimator)


def test_file_is_the_model_of_a_task_without_one(tmp_path: Path) -> None:
    model, _ = fitted("forest", "iris", "standard")
    found = _opened(_saved(model.estimator, tmp_path), Described({}))
    assert found.input_name == "features"
    assert digest(found.estimator) == digest(model.estimator)


def test_task_with_a_model_of_its_own_takes_no_estimator(tmp_path: Path) -> None:
    class Made(Described):
        def model(self, seed: int) -> Any:
            return SVC()

    with pytest.raises(InvalidInput, match="leave model\\(\\) out of the task"):
        _opened(_saved(fitted("tree", "iris")[0].estimator, tmp_path), Made({}))


def test_file_of_other_columns_names_both_counts(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="fitted on 13 columns, and input 'features' of the data has 4"):
        _opened(_saved(fitted("tree", "wine")[0].estimator, tmp_path), Described({}))


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    class Named(Described):
        labels = ("virginica", "setosa", "versicolor")

    split = table("iris")
    words = np.array(["setosa", "versicolor", "virginica"])[split.targets]
    path = _saved(DecisionTreeClassifier().fit(split.inputs["features"], words), tmp_path)
    with pytest.raises(InvalidInput, match="classes setosa, versicolor, virginica, and the task labels virginica"):
        _opened(path, Named({}))
    assert _opened(path, Described({})).labels == ("setosa", "versicolor", "virginica")


def test_estimator_that_was_not_fitted_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"SVC in model\.skops is not fitted: call fit"):
        read_estimator(_saved(SVC(), tmp_path))


@pytest.mark.parametrize("version", ["1.99.0", "2.0", "10.1"])
def test_estimator_of_a_newer_scikit_learn_names_both_versions(version: str, tmp_path: Path) -> None:
    import sklearn

    path = _saved(SVC().fit(ROWS, [0, 1, 0, 1]), tmp_path)
    with pytest.raises(InvalidInput, match=f"saved by scikit-learn {version}, and {sklearn.__version__} is installed"):
        read_estimator(_changed(path, lambda text: text.replace(sklearn.__version__, version)))


def test_estimator_of_an_older_scikit_learn_opens(tmp_path: Path) -> None:
    import sklearn

    path = _saved(SVC().fit(ROWS, [0, 1, 0, 1]), tmp_path)
    assert read_estimator(_changed(path, lambda text: text.replace(sklearn.__version__, "1.5.2"))).C == 1.0


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (make_pipeline(PCA(1), SVC()), "sklearn.decomposition._pca.PCA"),
        (make_pipeline(FunctionTransformer(np.log1p), SVC()), r"sklearn.preprocessing\S+FunctionTransformer|numpy\S+"),
        (SVC(kernel=np.dot), r"numpy\S+"),
    ],
)
def test_types_beyond_the_closed_list_are_named(estimator: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"model.skops holds a ({name})"):
        read_estimator(_saved(estimator.fit(ROWS, [0, 1, 0, 1]) if not isinstance(estimator, SVC) else estimator, tmp_path))


@pytest.mark.parametrize("name", [("posix", "system"), ("builtins", "eval"), ("sklearn.svm._classes", "NuSVC"), ("os.path", "SVC")])
def test_type_that_a_file_was_made_to_name_is_not_loaded(name: tuple[str, str], tmp_path: Path) -> None:
    path = _saved(SVC().fit(ROWS, [0, 1, 0, 1]), tmp_path)

    def named(text: str) -> str:
        schema = json.loads(text)
        schema["__module__"], schema["__class__"] = name
        return json.dumps(schema)

    with pytest.raises(InvalidInput, match=rf"holds a {'.'.join(name)} \(ObjectNode\)"):
        read_estimator(_changed(path, named))


@pytest.mark.parametrize("loader", ["FunctionNode", "MethodNode", "ReduceNode", "PartialNode", "OperatorFuncNode", None])
def test_loader_that_calls_what_a_file_names_is_not_used(loader: str | None, tmp_path: Path) -> None:
    path = _saved(SVC().fit(ROWS, [0, 1, 0, 1]), tmp_path)
    with pytest.raises(InvalidInput, match="which no supported estimator is made of"):
        read_estimator(_changed(path, lambda text: json.dumps(json.loads(text) | {"__loader__": loader})))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: "{}",
        lambda text: "null",
        lambda text: text.replace(".npy", ".gone"),
        lambda text: text.replace('"ObjectNode"', '"ListNode"'),
    ],
)
def test_damaged_files_get_a_sentence(change: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"model\.skops is a damaged skops file|no estimator of scikit-learn"):
        read_estimator(_changed(_saved(SVC().fit(ROWS, [0, 1, 0, 1]), tmp_path), change))


def _with_tree(change: Callable[[dict[str, Any]], None], folder: Path) -> Path:
    tree = DecisionTreeClassifier().fit(ROWS, [0, 1, 0, 1])
    state = tree.tree_.__getstate__()
    change(state)
    tree.tree_.__setstate__(state)
    return _saved(tree, folder)


def _set(field: str, node: int, value: int) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        state["nodes"] = state["nodes"].copy()
        state["nodes"][field][node] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("left_child", 0, 10_000_000),
        _set("right_child", 0, 0),
        _set("feature", 0, 5_000_000),
        _set("feature", 0, -7),
        _set("right_child", 0, -1),
        lambda state: state.update(max_depth=0),
    ],
)
def test_tree_that_would_be_walked_out_of_its_memory_is_refused(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is damaged: its numbers contradict one another"):
        read_estimator(_with_tree(change, tmp_path))


@pytest.mark.parametrize(
    "name", ["support_vectors_", "_dual_coef_", "_n_support", "_intercept_", "intercept_", "support_", "n_features_in_"]
)
def test_machine_whose_arrays_do_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    model = SVC().fit(ROWS, [0, 1, 0, 1])
    value = getattr(model, name)
    setattr(model, name, value[..., :1] if isinstance(value, np.ndarray) and value.shape[-1] > 1 else 77 if name[0] == "n" else value[:0])
    with pytest.raises(InvalidInput, match="damaged"):
        read_estimator(_saved(model, tmp_path))


def test_archive_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (65 << 20))
    with pytest.raises(InvalidInput, match=r"schema\.json of more than"):
        read_estimator(path)


def test_pickle_is_opened_for_a_trusted_maker_only(tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
    joblib.dump(model, tmp_path / "m.joblib")
    joblib.dump(model, tmp_path / "packed.joblib", compress=3)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    for name in ("m.joblib", "packed.joblib", "m.pkl"):
        assert is_estimator(tmp_path / name, trust_pickle=True) and not is_estimator(tmp_path / name, trust_pickle=False)
        with pytest.raises(InvalidInput, match="--trust-pickle"):
            read_estimator(tmp_path / name)
        assert digest(read_estimator(tmp_path / name, trust_pickle=True)) == digest(model)


def test_refused_pickle_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    for opened in (lambda: read_estimator(tmp_path / "m.pkl"), lambda: _opened(tmp_path / "m.pkl", Described({}))):
        with pytest.raises(InvalidInput, match="--trust-pickle"):
            opened()
    assert not (tmp_path / "ran").exists()


def test_trusted_pickle_of_something_else_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InvalidInput, match="dict is no estimator"):
        read_estimator(tmp_path / "m.pkl", trust_pickle=True)


def test_trusted_pickle_is_a_tasks_model_too(tmp_path: Path) -> None:
    split: Split = table("iris")
    joblib.dump(RandomForestClassifier(3).fit(split.inputs["features"], split.targets), tmp_path / "m.joblib")
    assert _opened(tmp_path / "m.joblib", Described({}), trust_pickle=True).fitted


def test_model_of_another_kind_is_no_estimator(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08" + b"x" * 20)
    with pytest.raises(InvalidInput, match="holds no estimator of scikit-learn but is ONNX"):
        read_estimator(tmp_path / "m.onnx")
