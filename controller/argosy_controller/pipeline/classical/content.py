"""What an estimator is made of: a digest of all that was set and learnt, and the numbers that it learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from argosy_controller.pipeline.task import Array

_PLAIN = (bool, int, float, str, bytes, type(None), np.generic)
_TREE = ("feature", "threshold", "children_left", "children_right", "missing_go_to_left", "value")


def digest(estimator: Any) -> bytes:
    """SHA-256 of class, options and everything learnt; the same for equal estimators in any process."""
    found = hashlib.sha256()
    for part in _parts("", estimator):
        found.update(f"{len(part)}:".encode() + part)
    return found.digest()


def _parts(name: str, value: Any) -> Iterator[bytes]:
    """A walk over an estimator's attributes in the order of their names: no pickle, and no address in memory."""
    from sklearn.base import BaseEstimator
    from sklearn.tree._tree import Tree

    yield f"{name} {type(value).__name__}".encode()
    if isinstance(value, np.ndarray):
        yield from _array(value)
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            yield from _parts(str(number), one)
    elif isinstance(value, Tree):
        for part in _TREE:
            yield from _parts(part, np.ascontiguousarray(getattr(value, part)))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from _parts(repr(key), value[key])
    elif isinstance(value, BaseEstimator):
        for key in sorted(vars(value)):
            yield from _parts(key, vars(value)[key])


def _array(value: Array) -> Iterator[bytes]:
    if value.dtype.hasobject:
        for one in value.ravel():
            yield from _parts("", one)
        return
    yield f"{value.dtype.str}{value.shape}".encode()
    yield np.ascontiguousarray(value).tobytes()


def numbers(estimator: Any) -> Iterator[Array]:
    """The learnt numbers that decide about answers: what is counted as parameters."""
    from argosy_controller.pipeline.classical.families import final, steps

    for _, scaler in steps(estimator):
        yield from (np.asarray(getattr(scaler, name)) for name in ("mean_", "scale_", "min_", "center_") if _has(scaler, name))
    yield from _learnt(final(estimator))


def _has(estimator: Any, name: str) -> bool:
    return getattr(estimator, name, None) is not None


def _learnt(one: Any) -> Iterator[Array]:
    if hasattr(one, "tree_"):
        inner = one.tree_.children_left >= 0
        yield one.tree_.threshold[inner]
        yield one.tree_.value[~inner]
    elif hasattr(one, "estimators_"):
        for member in one.estimators_:
            yield from _learnt(member)
    elif hasattr(one, "support_vectors_"):
        yield from (one.support_vectors_, one.dual_coef_, one.intercept_)
    elif hasattr(one, "coefs_"):
        yield from (*one.coefs_, *one.intercepts_)
    else:
        known = ("coef_", "intercept_", "theta_", "var_", "class_log_prior_", "feature_log_prob_", "class_prior_")
        yield from (np.asarray(getattr(one, name)) for name in known if _has(one, name))
