"""Dates as people write them, with the same dates as ISO 8601 has them: made by a seeded script, so no file is needed."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from argosy_controller.pipeline.task import Data, Split

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")
#: What texts are made of; the number of a character is its place, and 0 fills a text up to LENGTH.
LETTERS = " ,.0123456789abcdefghijklmnopqrstuvwxyz"
#: What answers are made of: the number of a character is its place.
DIGITS = "0123456789-"
LENGTH, ISO_LENGTH = 24, 10


def written(day: date, form: int) -> str:
    """A date in words, in one of six forms: `7 september 1984`, `sep 7, 1984`, `the 7th of september 1984`..."""
    month = MONTHS[day.month - 1]
    forms = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        f"{month[:3]} {day.day}, {day.year}",
        f"{day.day}{_ending(day.day)} of {month} {day.year}",
        f"{day.year}, {day.day}. {month}",
    )
    return forms[form % len(forms)]


def _ending(number: int) -> str:
    return "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def encoded(text: str) -> list[int]:
    """The numbers of a text's characters, zeros before them up to LENGTH."""
    return [0] * (LENGTH - len(text)) + [LETTERS.index(one) + 1 for one in text]


def dates(seed: int, train: int, test: int) -> Data:
    """Examples with inputs `text` int32 (examples, LENGTH) and targets int64 (examples, ISO_LENGTH); no day is in both parts."""
    random = np.random.default_rng(seed)
    days = [date.fromordinal(int(one)) for one in random.permutation(np.arange(FIRST.toordinal(), LAST.toordinal() + 1))[: train + test]]
    forms = random.integers(0, 6, len(days))
    texts = np.array([encoded(written(day, int(form))) for day, form in zip(days, forms, strict=True)], np.int32)
    answers = np.array([[DIGITS.index(one) for one in day.isoformat()] for day in days], np.int64)
    return Data(train=_split(texts[:train], answers[:train]), test=_split(texts[train:], answers[train:]))


def _split(texts: NDArray[np.int32], answers: NDArray[np.int64]) -> Split:
    return Split({"text": texts}, answers)
