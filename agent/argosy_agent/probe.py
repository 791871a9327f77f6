"""The probe: a short-lived child in which a candidate must load and give the answers that it was signed with.

    python -m argosy_agent.probe FOLDER --runtime NAME [--memory BYTES] [--cpu SECONDS]

It prints one JSON line (`messages.ProbeResult`) and exits with 0 whatever the verdict. No line means that the model took
the process down: the parent reads that from the exit status (a signal: crashed; SIGXCPU or SIGKILL by its own clock: too long).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from argosy.errors import ArgosyError, InvalidInput, Unavailable
from argosy.protocol.card import Card, FileRef, Probes
from argosy.protocol.refusals import Refusal
from argosy.trust import Refused
from argosy_agent.children import Limits, confine
from argosy_agent.messages import ProbeResult

if TYPE_CHECKING:
    from argosy_agent.runtimes.session import Array, Session
    from argosy_agent.serving.golden import Golden

_DEFAULT_MEMORY = 4 << 30
_DEFAULT_CPU_S = 120
_OPEN_FILES = 128
_TIMED_RUNS = 50
_TIMED_S = 1.0
_CHUNK = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: exit code 0 when a verdict was printed, 2 for wrong arguments."""
    arguments = _arguments(argv)
    confine(Limits(memory_bytes=arguments.memory, cpu_s=arguments.cpu, open_files=_OPEN_FILES, nice=19))
    answer = _keep_stdout()
    result = judge(arguments.folder, arguments.runtime)
    os.write(answer, msgspec.json.encode(result) + b"\n")
    return 0


def judge(folder: Path, runtime: str) -> ProbeResult:
    """Proves the variant in `folder` in this process: a hostile model may crash it, so call it in a child.

    Args:
        folder: holds card.json (already verified by its signature) and the files that it names.
        runtime: a name from `runtimes.available`.
    """
    try:
        return _proved(folder, runtime)
    except Refused as refused:
        return ProbeResult(ok=False, code=refused.refusal.code, text=str(refused))
    except MemoryError:
        return _refusal(Refusal.PROBE_CRASHED, "it needs more memory than a probe may use")


def _proved(folder: Path, runtime: str) -> ProbeResult:
    from argosy_agent.serving.golden import read_golden
    from argosy_agent.serving.loading import read_card

    try:
        card = read_card(folder)
    except InvalidInput as error:
        raise Refused(Refusal.MALFORMED, str(error)) from error
    for file in (card.model_file, *card.companions):
        _check_file(folder, file)
    try:
        golden = read_golden(folder, card)
    except InvalidInput as error:
        raise Refused(Refusal.PROBE_NUMBERS, str(error)) from error
    if golden is None:
        raise Refused(Refusal.PROBE_NUMBERS, "the card has no golden probes, so nothing was proved; a proof that did not run is a failure")
    return _run(folder, card, runtime, golden)


def _run(folder: Path, card: Card, runtime: str, golden: Golden) -> ProbeResult:
    """Loads, compares, measures. Memory is what comes on top of the imported runtime, which a worker has anyway."""
    session, memory_before = _loaded(folder, card, runtime)
    for number, (inputs, expected) in enumerate(golden.pairs(), start=1):
        difference = _difference(session, inputs, expected, card.probes)
        if difference:
            raise Refused(Refusal.PROBE_NUMBERS, f"probe {number} of {golden.count}: {difference}")
    p50_us = _median_us(session, golden)
    return ProbeResult(ok=True, p50_us=p50_us, memory_bytes=max(resident_bytes() - memory_before, 0))


def _loaded(folder: Path, card: Card, runtime: str) -> tuple[Session, int]:
    from argosy_agent import runtimes

    known = {found.name: found.formats for found in runtimes.available()}
    if card.format not in known.get(runtime, []):
        raise Refused(Refusal.NOT_RUNNABLE, f"{runtime!r:.60} is not here or does not run the format {card.format!r:.20}")
    try:
        runtimes.prepare(runtime)
        before = resident_bytes()
        return runtimes.load(folder, card, runtime), before
    except Unavailable as error:
        raise Refused(Refusal.NOT_RUNNABLE, str(error)) from error
    except ArgosyError as error:
        raise Refused(Refusal.PROBE_LOAD, str(error)) from error


def _difference(session: Session, inputs: dict[str, Array], expected: dict[str, Array], rule: Probes | None) -> str:
    """What differs from the signed answers; empty when nothing does."""
    from argosy_agent.serving.golden import first_difference

    assert rule is not None
    try:
        return first_difference(session.run(inputs), expected, rule)
    except InvalidInput as error:
        return str(error)
    except ArgosyError as error:
        raise Refused(Refusal.PROBE_CRASHED, str(error)) from error


def _median_us(session: Session, golden: Golden) -> float:
    inputs, _ = next(golden.pairs())
    durations: list[int] = []
    end = time.monotonic() + _TIMED_S
    while not durations or (len(durations) < _TIMED_RUNS and time.monotonic() < end):
        begin = time.perf_counter_ns()
        session.run(inputs)
        durations.append(time.perf_counter_ns() - begin)
    return round(statistics.median(durations) / 1000, 1)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _check_file(folder: Path, file: FileRef) -> None:
    """The file is the signed one; that its name leads nowhere else was checked with the card."""
    digest, size = hashlib.sha256(), 0
    try:
        with (folder / file.name).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise Refused(Refusal.WRONG_BYTES, f"{file.name} cannot be read ({error.strerror})") from error
    if size != file.length or digest.hexdigest() != file.sha256:
        raise Refused(Refusal.WRONG_BYTES, f"{file.name} has {size} bytes and digest {digest.hexdigest():.12}..., not those of its card")


def _refusal(refusal: Refusal, particulars: str) -> ProbeResult:
    return ProbeResult(ok=False, code=refusal.code, text=f"{refusal.sentence}: {particulars}")


def _keep_stdout() -> int:
    """A descriptor of the real standard output; whatever a runtime prints goes to standard error instead."""
    answer = os.dup(1)
    os.dup2(2, 1)
    return answer


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("argosy_agent.probe", description="Proves the variant in FOLDER against its golden probes.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--runtime", required=True, metavar="NAME", help="onnxruntime, tflite-runtime or ai-edge-litert")
    parser.add_argument("--memory", type=int, default=_DEFAULT_MEMORY, metavar="BYTES", help="address space, default 4 GB")
    parser.add_argument("--cpu", type=int, default=_DEFAULT_CPU_S, metavar="SECONDS", help="processor time, default 120 s")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
