"""Words for error messages: the nearest right name, and what a library said in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

#: A network of hundreds of layers must not fill the screen.
_MOST_NAMED = 60


def nearest(wrong: str, right: Iterable[str]) -> str:
    """The end of an error message about a name that somebody wrote: the nearest of the right names, else all of them.

    Nothing can follow it but a new sentence: it may be a question.

    Examples:
        >>> nearest("ebochs", ["epochs", "share"])
        ": did you mean 'epochs'?"
        >>> nearest("zzz", ["epochs", "share"])
        ': use one of epochs, share'
        >>> nearest("zzz", [])
        ': there are none'
    """
    names = sorted(right)
    close = _closest(wrong, names)
    if close:
        return f": did you mean {close!r}?"
    return f": use {_listed(names)}" if names else ": there are none"


def likeness(missing: str, there: Iterable[str]) -> str:
    """The end of an error message about a name that a file should have, and nobody wrote by hand: the nearest that is there.

    Examples:
        >>> likeness("fc.weight", ["conv.weight", "fc.weights"])
        "; the nearest name there is 'fc.weights'"
        >>> likeness("fc.weight", [])
        ''
    """
    close = _closest(missing, sorted(there))
    return f"; the nearest name there is {close!r}" if close else ""


def _closest(wrong: str, names: Sequence[str]) -> str:
    return next(iter(get_close_matches(wrong, names, n=1, cutoff=0.6)), "")


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"one of {', '.join(names[:_MOST_NAMED])}{more}"


def first_line(error: BaseException) -> str:
    """What an error of a library says, short enough for a sentence; its type where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
