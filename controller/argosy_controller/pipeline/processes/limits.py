"""What a job's child process may use."""

from __future__ import annotations

import msgspec

_GIB = 1 << 30


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one child process.

    Attributes:
        memory_bytes: address space, 0 for no limit (frameworks reserve far more than they touch).
        cpu_s: processor time over all threads, 0 for no limit.
        wall_s: time on the clock.
        file_bytes: the largest file that it may write.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: float
    file_bytes: int = 4 * _GIB


#: A build runs the user's own code on the user's own machine: only runaways are ended.
BUILD_LIMITS = Limits(memory_bytes=0, cpu_s=0, wall_s=6 * 3600)
#: An import opens a file that may be hostile.
IMPORT_LIMITS = Limits(memory_bytes=6 * _GIB, cpu_s=300, wall_s=300)
#: So does a conversion, which besides runs torch and converters: 2.7 GiB of address space for a small model.
CONVERSION_LIMITS = Limits(memory_bytes=12 * _GIB, cpu_s=3600, wall_s=3600)
#: A build on the controller runs beside what the fleet hangs on: its memory is bounded too.
CONTROLLER_BUILD_LIMITS = Limits(memory_bytes=16 * _GIB, cpu_s=0, wall_s=6 * 3600)
#: Looking at a task loads its data and makes its model, and trains nothing.
SUGGEST_LIMITS = Limits(memory_bytes=0, cpu_s=0, wall_s=1800)
