"""Tables: scikit-learn's handwritten digits as 64 columns, ten classes, and its diabetes study, ten columns and a number."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from argosy_controller.pipeline.task import Data, Split, Task


class DigitTable(Task):
    """Pixels in 0 to 16 as input `features` (examples, 64); 60 % train."""

    outputs = ("probabilities", "label")

    def data(self, seed: int) -> Data:
        """1,797 digits."""
        digits = load_digits()
        return _halves(digits.data, digits.target, seed, 0.4, stratify=True)


class Diabetes(Task):
    """Ten measures as input `features` (examples, 10), and how far the disease went within a year; half of 442 patients train."""

    outputs = ("value",)
    metric = "rmse"

    def data(self, seed: int) -> Data:
        """As the study measured them, not scaled."""
        patients = load_diabetes(scaled=False)
        return _halves(patients.data, patients.target, seed, 0.5, stratify=False)


def _halves(columns: np.ndarray, targets: np.ndarray, seed: int, share: float, stratify: bool) -> Data:
    kept = targets if stratify else None
    parts = train_test_split(columns.astype(np.float32), targets, test_size=share, random_state=seed, stratify=kept)
    return Data(train=Split({"features": parts[0]}, parts[2]), test=Split({"features": parts[1]}, parts[3]))
