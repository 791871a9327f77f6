"""What a job's process says of the error that ended it: whose fault it is, and what to do, in one sentence."""

from __future__ import annotations

import errno
import resource
import traceback
from collections.abc import Iterator
from pathlib import Path

from argosy.errors import ArgosyError, InvalidInput, Unavailable
from argosy_controller.pipeline.processes.messages import Failed

_NEEDS_MEMORY = "it needs more memory than this job may use ({}): use smaller batches or data, or raise the limit"
#: torch, onnxruntime and the loader of libraries say it in words only.
_MEMORY_WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "std::bad_alloc",
    "bad allocation",
    "not enough memory",
)
_DISK = {
    errno.ENOSPC: "the disk is full, so {} could not be written: free some space and start it again",
    errno.EDQUOT: "the disk quota is used up, so {} could not be written: free some space and start it again",
    errno.EFBIG: "{} grew over what a file of a job may hold: make the model smaller",
}
_LONGEST_CHAIN = 20


def failed(error: Exception) -> Failed:
    """The last line of defence: a person gets a sentence, the log gets the story.

    What ran out (memory, disk) is told as that, also where somebody has wrapped it as the fault of a user's line.
    """
    chain = list(_chain(error))
    if any(_is_memory(one) for one in chain):
        return Failed(kind=InvalidInput.kind, text=_NEEDS_MEMORY.format(_memory()))
    for one in chain:
        if isinstance(one, OSError) and one.errno in _DISK:
            return Failed(kind=Unavailable.kind, text=_DISK[one.errno].format(Path(one.filename).name if one.filename else "its files"))
    if isinstance(error, ArgosyError):
        return Failed(kind=error.kind, text=str(error))
    traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})" if frames else ""
    return Failed(kind=ArgosyError.kind, text=f"the job failed: {type(error).__name__}: {str(error)[:500]}{where}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if current is None:
            return
        yield current
        current = current.__cause__


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_WORDS)


def _memory() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "all of this machine's" if limit == resource.RLIM_INFINITY else f"{limit / (1 << 30):.1f} GiB of addresses"
