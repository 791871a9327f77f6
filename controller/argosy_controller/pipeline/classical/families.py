"""Which estimators of scikit-learn can be models here, with which options, and how each is asked."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import check_is_fitted

from argosy.errors import InvalidInput
from argosy_controller.pipeline.task import Array, Split

SCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
TREES = (DecisionTreeClassifier, DecisionTreeRegressor)
FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
MACHINES = (SVC, SVR)
LINEAR = (LogisticRegression, LinearSVC, LinearRegression, Ridge, Lasso, ElasticNet, LinearSVR)
BAYES = (GaussianNB, BernoulliNB, MultinomialNB)
PERCEPTRONS = (MLPClassifier, MLPRegressor)
SUPPORTED: tuple[type[Any], ...] = (*TREES, *FORESTS, *MACHINES, *LINEAR, *BAYES, *PERCEPTRONS)
_NO_PROBABILITIES = (SVC, LinearSVC)
CLASSIFIERS = (
    DecisionTreeClassifier,
    RandomForestClassifier,
    ExtraTreesClassifier,
    LogisticRegression,
    MLPClassifier,
    *_NO_PROBABILITIES,
    *BAYES,
)
KERNELS = ("linear", "rbf", "poly", "sigmoid")
_SKIPPED = (None, "passthrough")


def steps(estimator: Any) -> list[tuple[str, Any]]:
    """The scalers in front, by their names in the pipeline; those that do nothing are left out."""
    if not isinstance(estimator, Pipeline):
        return []
    return [(name, one) for name, one in estimator.steps[:-1] if not (one is None or (isinstance(one, str) and one in _SKIPPED))]


def final(estimator: Any) -> Any:
    """What decides: the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def check_supported(estimator: Any) -> None:
    """Looks at kinds and options, not at what was learnt.

    Raises:
        InvalidInput: it is no estimator, or it, a step or an option has no counterpart in the formats.
    """
    if not isinstance(estimator, BaseEstimator):
        raise InvalidInput(f"{type(estimator).__name__} is no estimator of scikit-learn: give one of {_names(SUPPORTED)}")
    for name, step in steps(estimator):
        if type(step) not in SCALERS:
            raise InvalidInput(
                f"step {name!r} of the pipeline is {type(step).__name__}, which does not convert: scale with {_names(SCALERS)}, "
                "or do in data() what it does"
            )
    last = final(estimator)
    if type(last) not in SUPPORTED:
        raise InvalidInput(f"{type(last).__name__} does not convert: take one of {_names(SUPPORTED)}, with scalers in front or without")
    _check_options(last)


def _names(kinds: tuple[type[Any], ...]) -> str:
    return ", ".join(one.__name__ for one in kinds)


def _check_options(last: Any) -> None:
    if isinstance(last, MACHINES) and (callable(last.kernel) or last.kernel not in KERNELS):
        shown = "a function" if callable(last.kernel) else repr(last.kernel)
        raise InvalidInput(f"{type(last).__name__} has kernel {shown}, which does not convert: take one of {', '.join(KERNELS)}")


def is_fitted(estimator: Any) -> bool:
    """Whether every part has learnt."""
    from sklearn.exceptions import NotFittedError

    try:
        for one in (*(step for _, step in steps(estimator)), final(estimator)):
            check_is_fitted(one)
    except NotFittedError:
        return False
    return True


def outputs_of(estimator: Any, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """The public names, if they are as many as the estimator has outputs.

    Raises:
        InvalidInput: they are not, or promise probabilities where there are none.
    """
    last = final(estimator)
    wanted = usual_outputs(estimator)
    if len(outputs) != len(wanted):
        raise InvalidInput(
            f"{type(last).__name__} has {len(wanted)} outputs, and the task names {', '.join(outputs)}: write outputs = {wanted!r} in the task"
        )
    if isinstance(last, _NO_PROBABILITIES) and outputs[0] == "probabilities":
        raise InvalidInput(f"{type(last).__name__} gives no probabilities: write outputs = {wanted!r} in the task")
    return tuple(outputs)


def usual_outputs(estimator: Any) -> tuple[str, ...]:
    """What the outputs are called where nobody calls them otherwise."""
    last = final(estimator)
    if not isinstance(last, CLASSIFIERS):
        return ("value",)
    return ("scores" if isinstance(last, _NO_PROBABILITIES) else "probabilities", "label")


def class_names(estimator: Any) -> tuple[str, ...]:
    """Names of the classes; empty where they are the numbers from 0."""
    classes = final(estimator).classes_
    plain = classes.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes)))
    return () if plain else tuple(str(one) for one in classes)


def check_labels(estimator: Any, labels: Sequence[str]) -> None:
    """Whether a task calls the classes as a fitted classifier does, if both give them names.

    Raises:
        InvalidInput: they are others, or in another order.
    """
    last = final(estimator)
    if not isinstance(last, CLASSIFIERS) or not labels:
        return
    here = class_names(estimator)
    if len(labels) != len(last.classes_) or (here and last.classes_.dtype.kind not in "iuf" and tuple(labels) != here):
        raise InvalidInput(
            f"the estimator has classes {', '.join(map(str, last.classes_))}, and the task labels {', '.join(labels)}: "
            "name as many in the task, in the estimator's order"
        )


def scores_of(estimator: Any, rows: Array) -> Array:
    """Probabilities, or decision values where there are none: (rows, classes) float32, columns as in `classes_`."""
    last = final(estimator)
    if not isinstance(last, _NO_PROBABILITIES):
        return np.asarray(estimator.predict_proba(rows), dtype=np.float32)
    if getattr(last, "decision_function_shape", "ovr") != "ovr":  # pairs of classes
        estimator = copy.deepcopy(estimator)
        final(estimator).set_params(decision_function_shape="ovr")
    found = np.asarray(estimator.decision_function(rows), dtype=np.float32)
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found


def check_data(estimator: Any, split: Split) -> tuple[Array, Array]:
    """The columns and targets of examples that an estimator can learn from or be asked.

    Raises:
        InvalidInput: there are several inputs, the input is no table, it has other columns than the estimator learnt, or targets
            are no class numbers from 0 without gaps (a classifier), no numbers (a regressor).
    """
    if len(split.inputs) != 1:
        raise InvalidInput(f"an estimator takes one table, and the data have inputs {', '.join(split.inputs)}: put their columns into one")
    name, columns = next(iter(split.inputs.items()))
    if columns.ndim != 2 or columns.dtype != np.float32:
        raise InvalidInput(
            f"an estimator takes a table of float32 (rows, columns), and input {name!r} is {columns.dtype} of {columns.shape}: "
            "make it one in data()"
        )
    learnt = getattr(estimator, "n_features_in_", None)
    if learnt is not None and learnt != columns.shape[1]:
        raise InvalidInput(f"the estimator was fitted on {learnt} columns, and input {name!r} of the data has {columns.shape[1]}")
    return columns, _classes(split.targets) if isinstance(final(estimator), CLASSIFIERS) else _values(split.targets)


def _classes(targets: Array) -> Array:
    if targets.ndim != 1 or targets.dtype.kind not in "iub":
        raise InvalidInput(f"a classifier takes one class number per example as target, not {targets.dtype} of {targets.shape}")
    found = np.unique(targets).astype(np.int64)
    missing = np.setdiff1d(np.arange(found.max(initial=-1) + 1), found)
    if len(missing) or found[0] < 0:
        lacking = f"lack class {missing[0]}" if len(missing) else f"have class {found[0]}"
        raise InvalidInput(f"the training data {lacking}: number the classes from 0, and give examples of each")
    if len(found) < 2:
        raise InvalidInput("the training data have one class only: give examples of two or more")
    return targets.astype(np.int64)


def _values(targets: Array) -> Array:
    if targets.size != len(targets) or targets.dtype.kind not in "fiub":
        raise InvalidInput(f"a regressor takes one number per example as target, not {targets.dtype} of {targets.shape}")
    return targets.reshape(-1)


def has_trees(last: Any) -> bool:
    """Whether it is a decision tree or a forest."""
    return isinstance(last, (*TREES, *FORESTS))


def members(estimator: Any) -> list[Any]:
    """The trees of a fitted tree or forest, as scikit-learn keeps them."""
    last = final(estimator)
    return [last.tree_] if isinstance(last, TREES) else [one.tree_ for one in last.estimators_]
