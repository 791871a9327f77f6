"""`make bench`: runs one benchmark by name, or all, one after the other, and writes docs/benchmarks.md anew."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import write_page

HERE = Path(__file__).parent
#: Seconds; compression trains for an hour and a half of processor time.
_LONGEST = 3 * 3600
_NO_BENCHMARK = ("__main__", "record", "write_page", "conftest")


def names() -> list[str]:
    """Every benchmark, by the name that `make bench NAME=...` takes."""
    return sorted(path.stem.replace("_", "-") for path in HERE.glob("*.py") if path.stem not in _NO_BENCHMARK)


def main(wanted: list[str]) -> int:
    """Runs them; 1 when one failed or missed something that it must reach, 2 for an unknown name."""
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        print(f"no benchmark is called {unknown[0]!r}: choose from {', '.join(names())}", file=sys.stderr)
        return 2
    failed = [name for name in wanted or names() if not _run(name)]
    write_page.main()
    if failed:
        print(f"failed, or missed a must: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str) -> bool:
    print(f"== {name}", flush=True)
    began = time.monotonic()
    done = subprocess.run([sys.executable, str(HERE / f"{name.replace('-', '_')}.py")], timeout=_LONGEST, check=False)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
