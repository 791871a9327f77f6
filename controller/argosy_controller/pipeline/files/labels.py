"""Names of classes beside a model: `labels.txt`, one a line in the order of the class numbers, UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argosy.errors import InvalidInput

LABELS_FILE = "labels.txt"
_LONGEST = 1000


def check_labels(labels: Sequence[str], owner: str) -> None:
    """Returns if every name can stand on a line of its own.

    Args:
        owner: whose they are, as a sentence says it: `task 'pets'`, `the estimator in wine.skops`.

    Raises:
        InvalidInput: one cannot; says which.
    """
    for number, label in enumerate(labels):
        if str(label).splitlines() != [str(label)]:
            raise InvalidInput(
                f"label {number} of {owner}, {label!r:.80}, is empty or has a line break in it: give each class a name of one line"
            )
        if len(str(label)) > _LONGEST or not _writable(str(label)):
            raise InvalidInput(
                f"label {number} of {owner} is longer than {_LONGEST} characters, or is no text: give each class a short name"
            )


def written_labels(labels: Sequence[str], folder: Path) -> list[Path]:
    """The companions that names of classes make: none where there are none."""
    if not labels:
        return []
    path = folder / LABELS_FILE
    path.write_bytes("".join(f"{label}\n" for label in labels).encode())
    return [path]


def _writable(label: str) -> bool:
    """Lone surrogates have no form in UTF-8."""
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    return True
