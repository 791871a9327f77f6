"""Estimators out of files: skops by content, never a pickle that nobody vouches for."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read_estimator(path: Path, trust_pickle: bool = False) -> Any:
    """A fitted, supported estimator out of a skops file, or of a pickle or joblib file with `trust_pickle`.

    Raises:
        NotFound, InvalidInput: it cannot be read, names types beyond those of supported estimators, is not fitted, or was
            saved by a newer scikit-learn.
    """
    raise NotImplementedError
