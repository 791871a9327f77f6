"""Words for error messages: the nearest right name, and what a library said in one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(wrong: str, right: Iterable[str]) -> str:
    """The end of an error message: the nearest of the right names, else all of them.

    Examples:
        >>> nearest("ebochs", ["epochs", "share"])
        ": did you mean 'epochs'?"
        >>> nearest("zzz", ["epochs", "share"])
        ': it knows epochs, share'
    """
    names = sorted(right)
    close = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": it knows {', '.join(names)}" if names else ": it knows none"


def first_line(error: BaseException) -> str:
    """What an error of a library says, short enough for a sentence; its type where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
