"""Every family of classical models, and tables to fit it on: two classes, more, a number; with a scaler in front and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from argosy_controller.pipeline.classical.families import usual_outputs
from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.task import Split

CLASSIFIERS: dict[str, Any] = {
    "logistic": LogisticRegression(max_iter=300),
    "linear-svc": LinearSVC(),
    "svc-rbf": SVC(),
    "svc-linear": SVC(kernel="linear"),
    "svc-poly": SVC(kernel="poly"),
    "svc-sigmoid": SVC(kernel="sigmoid"),
    "svc-ties": SVC(C=0.1, break_ties=True),
    "svc-ovo": SVC(decision_function_shape="ovo"),
    "tree": DecisionTreeClassifier(),
    "tree-impure": DecisionTreeClassifier(min_samples_leaf=5),
    "forest": RandomForestClassifier(30),
    "forest-impure": RandomForestClassifier(20, min_samples_leaf=3),
    "extra-trees": ExtraTreesClassifier(20),
    "gaussian": GaussianNB(),
    "bernoulli": BernoulliNB(),
    "multinomial": MultinomialNB(),
    "perceptron": MLPClassifier((32,), max_iter=30),
    "perceptron-tanh": MLPClassifier((16, 8), activation="tanh", max_iter=20),
}
REGRESSORS: dict[str, Any] = {
    "linear": LinearRegression(),
    "ridge": Ridge(),
    "lasso": Lasso(),
    "elastic-net": ElasticNet(),
    "linear-svr": LinearSVR(),
    "svr-rbf": SVR(),
    "svr-linear": SVR(kernel="linear"),
    "svr-poly": SVR(kernel="poly"),
    "svr-sigmoid": SVR(kernel="sigmoid"),
    "tree": DecisionTreeRegressor(),
    "forest": RandomForestRegressor(30),
    "extra-trees": ExtraTreesRegressor(20),
    "perceptron": MLPRegressor(hidden_layer_sizes=(32,), max_iter=30),
    "perceptron-poisson": MLPRegressor("poisson", hidden_layer_sizes=(16,), max_iter=20),
}
SCALERS: dict[str, Any] = {
    "none": None,
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(clip=True),
    "robust": RobustScaler(),
    "max-abs": MaxAbsScaler(),
}
CLASSES = ("iris", "wine", "digits", "breast_cancer")
NUMBERS = ("diabetes",)


def table(name: str) -> Split:
    """One of scikit-learn's tables, whole."""
    columns, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    return Split({"features": columns.astype(np.float32)}, targets)


def estimator(family: str, scaler: str, regressor: bool = False) -> Any:
    """A fresh one."""
    last = clone((REGRESSORS if regressor else CLASSIFIERS)[family])
    return last if scaler == "none" else make_pipeline(clone(SCALERS[scaler]), last)


def fitted(family: str, data: str, scaler: str = "none", seed: int = 0) -> tuple[Fitted, Split]:
    """A model that learnt from every second row of a table, and the whole table."""
    split = table(data)
    one = estimator(family, scaler, data in NUMBERS)
    return Fitted(one, "features", usual_outputs(one)).fitted_on(split.take(slice(0, None, 2)), seed), split


def product() -> Iterator[tuple[str, str, str]]:
    """Every family on every table of its kind, behind every scaler that it can stand behind."""
    for data in (*CLASSES, *NUMBERS):
        for family in REGRESSORS if data in NUMBERS else CLASSIFIERS:
            for scaler in SCALERS:
                if family != "multinomial" or scaler in ("none", "min-max"):  # it counts: nothing below 0
                    yield family, data, scaler
