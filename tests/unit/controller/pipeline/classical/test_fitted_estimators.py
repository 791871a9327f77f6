"""A fitted estimator is a model like any other: copied, seeded, counted, told apart from every other, or refused in a sentence."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from classical_cases import CLASSIFIERS, estimator, fitted, table
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from argosy.errors import InvalidInput
from argosy_controller.pipeline.caching.cache import Cache
from argosy_controller.pipeline.caching.kept_models import keep, load
from argosy_controller.pipeline.caching.remembering import state_digest
from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.numbers.metrics import BUILT_IN
from argosy_controller.pipeline.numbers.sizes import macs, not_zero, parameters
from argosy_controller.pipeline.sources.graphs import kind_of
from argosy_controller.pipeline.task import Data, Split, Task, checked_data, task_model
from argosy_controller.pipeline.training import fit

PROBABLE = ("probabilities", "label")
ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 1.0]], np.float32)


class Flowers(Task):
    name = "flowers"
    outputs = PROBABLE

    def __init__(self, made: Any) -> None:
        super().__init__({})
        self.made = made

    def data(self, seed: int) -> Data:
        split = table("iris")
        return Data(train=split.take(slice(0, None, 2)), test=split.take(slice(1, None, 2)))

    def model(self, seed: int) -> Any:
        return self.made


def _trained(task: Task, seed: int = 0) -> Any:
    data = checked_data(task, seed)
    return fit(task_model(task, seed), task, data.train, task.training, seed=seed, on_epoch=lambda done, total: None)


def test_estimator_of_a_task_is_fitted_on_its_training_data() -> None:
    task = Flowers(RandomForestClassifier(5))
    model = _trained(task)
    assert kind_of(model) == "estimator"
    assert model.fitted and not task_model(task, 0).fitted
    outputs = dict(zip(task.outputs, model(torch.from_numpy(task.data(0).test.inputs["features"])), strict=True))
    assert task.judged_by.value({name: one.numpy() for name, one in outputs.items()}, task.data(0).test.targets) > 0.9


def test_estimator_that_was_fitted_before_stays_as_it_is() -> None:
    split = table("iris")
    ready = DecisionTreeClassifier(max_depth=1).fit(split.inputs["features"], split.targets)
    assert _trained(Flowers(ready)).estimator.get_depth() == 1
    assert state_digest(_trained(Flowers(ready), 1)) == state_digest(_trained(Flowers(ready), 2))


def test_same_seed_gives_the_same_forest_and_another_another() -> None:
    one, again, other = (_trained(Flowers(RandomForestClassifier(5)), seed) for seed in (1, 1, 2))
    assert state_digest(one) == state_digest(again) != state_digest(other)
    assert one.estimator.random_state == 1
    assert _trained(Flowers(RandomForestClassifier(5, random_state=7)), 1).estimator.random_state == 7


def test_fitting_changes_neither_the_model_nor_the_estimator_given() -> None:
    given = make_pipeline(StandardScaler(), LogisticRegression())
    model = Fitted(given, "features", PROBABLE)
    before = state_digest(model)
    model.fitted_on(table("iris"), 0)
    assert state_digest(model) == before
    assert not hasattr(given[-1], "coef_")


@pytest.mark.parametrize("family", ["tree", "forest", "svc-rbf", "logistic", "gaussian", "perceptron"])
def test_any_number_that_changes_makes_another_model(family: str) -> None:
    model, _ = fitted(family, "iris")
    other = copy.deepcopy(model.estimator)
    parts = {"tree": "tree_", "forest": "estimators_", "svc-rbf": "dual_coef_", "logistic": "coef_", "gaussian": "theta_"}
    found = getattr(other, parts.get(family, "coefs_"))
    while not isinstance(found, np.ndarray):
        found = found[0] if isinstance(found, list) else getattr(found, "tree_", found)
        found = found.threshold if hasattr(found, "threshold") else found
    found.flat[0] += 1e-9
    assert state_digest(model.replaced(other)) != state_digest(model)
    assert state_digest(copy.deepcopy(model)) == state_digest(model)


def test_options_that_were_set_make_another_model() -> None:
    digests = {state_digest(Fitted(SVC(C=c), "features", ("scores", "label"))) for c in (1.0, 2.0, 2.0)}
    assert len(digests) == 2


def test_estimators_are_not_kept_as_weights(tmp_path: Any) -> None:
    model, split = fitted("tree", "iris")
    pruned = model.replaced(DecisionTreeClassifier(max_depth=1).fit(split.inputs["features"], split.targets))
    cache = Cache(tmp_path / "cache")
    keep(cache, "a" * 64, model, pruned, (torch.from_numpy(split.inputs["features"][:4]),), 1.0)
    assert load(cache, "a" * 64, model) is None


def test_parameters_are_what_was_learnt() -> None:
    tree = Fitted(DecisionTreeRegressor().fit(ROWS[:, :1], [1.0, 0.0, 1.0, 3.0]), "x", ("value",))
    assert parameters(tree) == 2 + 3  # two thresholds, three leaves
    assert not_zero(tree) == 2 + 2
    line = make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, [0, 1, 2, 3])
    assert parameters(Fitted(line, "x", ("value",))) == 2 + 2 + 2 + 1
    assert macs(tree, (torch.zeros(1, 1),)) == {"": 0}
    assert parameters(Fitted(LinearRegression(), "x", ("value",))) == 0


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_first_output_names_the_label_but_for_ties(family: str) -> None:
    model, split = fitted(family, "iris")
    first, label = model(torch.from_numpy(split.inputs["features"]))
    assert first.shape == (150, 3)
    assert (first.argmax(1) == label).float().mean() > 0.98


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_one_column_of_values_is_compared_with_plain_targets(metric: str) -> None:
    outputs = {"value": np.array([[1.0], [2.0]], np.float32)}
    assert BUILT_IN[metric].value(outputs, np.array([2.0, 3.0])) == pytest.approx(1.0)


def test_targets_that_are_words_are_numbered_in_order() -> None:
    class Words(Flowers):
        def data(self, seed: int) -> Data:
            found = super().data(seed)
            names = np.array(["setosa", "versicolor", "virginica"])
            return Data(*(Split(one.inputs, names[one.targets]) for one in (found.train, found.test)))

    task = Words(LogisticRegression(max_iter=500))
    data = checked_data(task, 0)
    assert task.labels == ("setosa", "versicolor", "virginica")
    assert np.array_equal(data.test.targets, super(Words, task).data(0).test.targets)
    assert _trained(task).fitted


def test_word_that_is_no_label_is_named() -> None:
    class Words(Flowers):
        labels = ("setosa", "versicolor")

        def data(self, seed: int) -> Data:
            split = Split({"features": ROWS}, np.array(["setosa", "versicolor", "setosa", "rose"]))
            return Data(train=split, test=split)

    with pytest.raises(InvalidInput, match="class 'rose', which is none of its labels"):
        checked_data(Words(SVC()), 0)


def _split(targets: Any, rows: np.ndarray = ROWS, name: str = "features") -> Split:
    return Split({name: rows}, np.array(targets))


REFUSED_ESTIMATORS = [
    (KMeans(2), "KMeans does not convert: take one of .*SVC"),
    (make_pipeline(PCA(2), SVC()), "step 'pca' of the pipeline is PCA, which does not convert"),
    (SVC(kernel=lambda x, y: x @ y.T), "SVC has kernel a function, which does not convert: take one of linear, rbf"),
    (SVC(kernel="precomputed"), "SVC has kernel 'precomputed'"),
    ("a text", "str is no estimator"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED_ESTIMATORS)
def test_what_does_not_convert_is_named(given: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Fitted(given, "features", PROBABLE)


REFUSED_DATA = [
    (_split([0, 2, 2, 0]), "training data lack class 1"),
    (_split([1, 1, 2, 2]), "training data lack class 0"),
    (_split([-1, 0, 1, 0]), "have class -1"),
    (_split([0, 0, 0, 0]), "one class only"),
    (_split([0.5, 0.1, 1.0, 0.0]), "takes one class number per example"),
    (_split([[0, 1]] * 4), "takes one class number per example"),
    (_split([0, 1, 0, 1], ROWS.astype(np.float64)), "table of float32"),
    (_split([0, 1, 0, 1], ROWS[:, None]), r"is float32 of \(4, 1, 2\)"),
    (Split({"a": ROWS, "b": ROWS}, np.array([0, 1, 0, 1])), "takes one table, and the data have inputs a, b"),
    (_split([0, 1, 0, 1], name="label"), "share a name"),
]


@pytest.mark.parametrize(("split", "sentence"), REFUSED_DATA)
def test_data_that_no_classifier_learns_from_get_a_sentence(split: Split, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Fitted(DecisionTreeClassifier(), "features", PROBABLE).fitted_on(split, 0)


def test_targets_that_are_no_numbers_get_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="takes one number per example"):
        Fitted(LinearRegression(), "features", ("value",)).fitted_on(_split([[0, 1]] * 4), 0)


def test_other_columns_than_it_learnt_get_a_sentence() -> None:
    model, _ = fitted("tree", "iris")
    with pytest.raises(InvalidInput, match="fitted on 4 columns, and input 'features' of the data has 2"):
        model.fitted_on(_split([0, 1, 0, 1]), 0)


def test_option_that_scikit_learn_refuses_gets_its_sentence() -> None:
    with pytest.raises(InvalidInput, match="SVC cannot be fitted on the task's training data: The 'C' parameter"):
        Fitted(SVC(C=-1.0), "features", ("scores", "label")).fitted_on(_split([0, 1, 0, 1]), 0)


REFUSED_FITS = [
    (DecisionTreeClassifier().fit(ROWS, [[0, 1], [1, 0], [0, 0], [1, 1]]), "has several targets"),
    (LinearRegression().fit(ROWS, ROWS), "has several targets"),
    (DecisionTreeClassifier().fit(ROWS, [3, 3, 3, 3]), "one class only"),
    (LogisticRegression().fit(ROWS, [0, 1, 0, 1]).sparsify(), "sparse numbers"),
    (SVC().fit(csr_array(ROWS), [0, 1, 0, 1]), "sparse numbers"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED_FITS)
def test_fits_that_nothing_here_converts_get_a_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Fitted(given, "features", usual_outputs(given))


@pytest.mark.filterwarnings("ignore")
def test_several_labels_at_once_get_a_sentence() -> None:
    many = MLPClassifier(max_iter=2).fit(ROWS, [[0, 1], [1, 0], [0, 0], [1, 1]])
    with pytest.raises(InvalidInput, match="has several targets"):
        Fitted(many, "features", PROBABLE)


def test_coefficients_that_are_not_finite_get_a_sentence() -> None:
    model = LogisticRegression().fit(ROWS, [0, 1, 0, 1])
    model.coef_[0, 0] = np.nan
    with pytest.raises(InvalidInput, match="not finite"):
        Fitted(model, "features", PROBABLE)


@pytest.mark.parametrize(("family", "outputs"), [("tree", ("logits",)), ("svc-rbf", PROBABLE)])
def test_outputs_that_it_has_not_get_a_sentence_with_those_that_it_has(family: str, outputs: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"write outputs = \('(scores|probabilities)', 'label'\) in the task"):
        Fitted(estimator(family, "none"), "features", outputs)
