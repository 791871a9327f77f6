"""Estimators out of files: skops by its closed list of types, a pickle only where its maker is trusted."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sklearn
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer
from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor
from sklearn.tree._tree import Tree

from argosy.errors import InvalidInput
from argosy_controller.pipeline.classical.families import SCALERS, SUPPORTED, check_supported, final, is_fitted
from argosy_controller.pipeline.classical.soundness import check_sound
from argosy_controller.pipeline.sources.kinds import SCHEMA, Kind, kind_of
from argosy_controller.pipeline.spelling import first_line

_LARGEST_SCHEMA = 64 << 20
_PARTS = (Pipeline, LabelBinarizer, ExtraTreeClassifier, ExtraTreeRegressor, Tree, AdamOptimizer, SGDOptimizer)
_KNOWN = frozenset(
    [
        *(f"{one.__module__}.{one.__name__}" for one in (*SUPPORTED, *SCALERS, *_PARTS)),
        *(f"builtins.{one}" for one in ("dict", "list", "tuple", "str", "int", "float", "bool", "NoneType")),
        *(f"numpy.{one}" for one in ("ndarray", "float64", "float32", "int64", "int32", "bool", "bool_", "str_")),
        "numpy.random.mtrand.RandomState",
    ]
)
#: How skops builds things: none of these calls a function that the file names.
_LOADERS = frozenset(
    f"{one}Node" for one in ("Object", "Dict", "List", "Tuple", "Json", "Type", "NdArray", "RandomState", "Tree", "DType", "Cached")
)


def read_estimator(path: Path, trust_pickle: bool = False) -> Any:
    """A fitted, supported estimator out of a skops file, or of a pickle or joblib file with `trust_pickle`.

    Raises:
        NotFound, InvalidInput: it cannot be read, names types beyond those of supported estimators, is not fitted, or was
            saved by a newer scikit-learn.
    """
    kind = kind_of(path)
    if kind is Kind.PICKLE and not trust_pickle:
        raise InvalidInput(
            f"{path.name} is a Python pickle, which can run any code when it is opened: "
            "save the estimator with skops.io.dump, or add --trust-pickle if you trust who made it"
        )
    if kind not in (Kind.SKOPS, Kind.PICKLE):
        raise InvalidInput(f"{path.name} holds no estimator of scikit-learn but is {kind.value}: save one with skops.io.dump")
    found = _from_skops(path) if kind is Kind.SKOPS else _from_pickle(path)
    check_supported(found)
    if not is_fitted(found):
        raise InvalidInput(f"{type(final(found)).__name__} in {path.name} is not fitted: call fit() before it is saved")
    check_sound(found, path.name)
    return found


def _from_skops(path: Path) -> Any:
    import skops.io

    schema = _schema(path)
    _check_types(path.name, schema)
    _check_version(path.name, list(_versions(schema)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an older scikit-learn: what it answers is measured
            return skops.io.load(path, trusted=sorted(_KNOWN))
    except Exception as error:  # a damaged file makes the reader raise what it likes
        raise InvalidInput(f"{path.name} is a damaged skops file: {type(error).__name__}: {first_line(error)}") from error


def _schema(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(SCHEMA).file_size > _LARGEST_SCHEMA:
                raise InvalidInput(f"{path.name} has a {SCHEMA} of more than {_LARGEST_SCHEMA} bytes: that is no estimator")
            return json.loads(archive.read(SCHEMA))
    except (OSError, EOFError, KeyError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InvalidInput(f"{path.name} is a damaged skops file: {first_line(error)}") from error


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a file's schema, however deep."""
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)


def _check_types(file: str, schema: Any) -> None:
    for one in _nodes(schema):
        if "__class__" not in one:
            continue
        name = f"{one.get('__module__')}.{one['__class__']}"
        if name not in _KNOWN or one.get("__loader__") not in _LOADERS:
            raise InvalidInput(
                f"{file} holds a {name[:100]} ({str(one.get('__loader__'))[:40]}), which no supported estimator is made of: "
                "it is not opened; save the fitted estimator or pipeline alone"
            )


def _versions(schema: Any) -> Iterator[str]:
    """Versions of scikit-learn that the estimators in a file were saved by."""
    for one in _nodes(schema):
        found = one.get("_sklearn_version")
        if isinstance(found, dict) and isinstance(found.get("content"), str):
            yield found["content"].strip('"')


def _check_version(file: str, saved: list[str]) -> None:
    newer = [one for one in saved if _parts(one) > _parts(sklearn.__version__)]
    if newer:
        raise InvalidInput(
            f"{file} was saved by scikit-learn {newer[0][:20]}, and {sklearn.__version__} is installed here: "
            "install that version, or fit and save it with this one"
        )


def _parts(version: str) -> tuple[int, ...]:
    """Major and minor number: within them files are compatible."""
    return tuple(int(one) for one in version.split(".")[:2] if one.isdigit())


def _from_pickle(path: Path) -> Any:
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = joblib.load(path)
        except Exception as error:  # unpickling raises what it likes
            raise InvalidInput(f"{path.name} cannot be read as a pickle: {type(error).__name__}: {first_line(error)}") from error
    told = [one.message for one in said]
    _check_version(path.name, [one.original_sklearn_version for one in told if isinstance(one, InconsistentVersionWarning)])
    return found
