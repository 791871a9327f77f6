"""Unpacks one wire encoding, in a child with limits: hostile bytes are never opened in the supervisor.

    python -m argosy_agent.decode zstd SOURCE DESTINATION --length BYTES

Ends with 0 when DESTINATION holds exactly BYTES bytes, with 1 otherwise; whether they are the right ones is for the parent,
which hashes them. More bytes than announced (a decompression bomb) end it at once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from argosy_agent.children import Limits, confine

_CHUNK = 256 * 1024
#: Larger windows would need as much memory; zstd's own levels up to 19 use at most 8 MB.
_MAX_WINDOW = 1 << 27
LIMITS = Limits(memory_bytes=1 << 30, cpu_s=600, open_files=32, nice=10)


def main(argv: list[str] | None = None) -> int:
    """Runs as a child; returns the exit code."""
    confine(LIMITS)
    parser = argparse.ArgumentParser(description="unpack one file")
    parser.add_argument("encoding", choices=["zstd"])
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--length", type=int, required=True, help="exact length of the result in bytes")
    args = parser.parse_args(argv)
    try:
        return 0 if unpack(args.source, args.destination, args.length) else 1
    except (OSError, MemoryError):
        return 1


def unpack(source: Path, destination: Path, length: int) -> bool:
    """Unpacks zstd; whether the result is exactly `length` bytes long.

    Raises:
        OSError: a file cannot be read or written.
    """
    import zstandard

    done = 0
    try:
        with source.open("rb") as packed, destination.open("wb") as plain:
            for chunk in zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).read_to_iter(packed, read_size=_CHUNK):
                done += len(chunk)
                if done > length:
                    return False
                plain.write(chunk)
    except zstandard.ZstdError:
        return False
    return done == length


if __name__ == "__main__":
    sys.exit(main())
