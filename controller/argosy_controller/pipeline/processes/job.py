"""The child process of a job: `python -P -m argosy_controller.pipeline.processes.job FD`, the request on standard input.

Limits are set before anything else is imported. Replies go to FD; whatever libraries print goes to the parent's log.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

import msgspec

from argosy_controller.pipeline.processes.blame import failed
from argosy_controller.pipeline.processes.limits import Limits
from argosy_controller.pipeline.processes.messages import BuildRequest, Failed, Finished, Progress, Reply, Request, SuggestRequest

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Runs one job; the exit code is 0 whenever a reply says how it ended."""
    request, limits = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Request, Limits])
    _die_with_parent()
    _confine(limits)
    # onnxruntime (seen in 1.32) reports its use to its maker over HTTPS, unless it finds this when it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    fd = int(argv[1])
    _send(fd, _run(request, fd))
    return 0


def _run(request: Request, fd: int) -> Finished | Failed:
    def tell(stage: str, done: int, total: int) -> None:
        _send(fd, Progress(stage=stage, done=done, total=total))

    try:
        if isinstance(request, BuildRequest):
            from argosy_controller.pipeline.building import build

            build(request, tell)
        elif isinstance(request, SuggestRequest):
            from argosy_controller.pipeline.recipes.looking import suggest

            suggest(request, tell)
        else:
            from argosy_controller.pipeline.ready_files import import_file

            import_file(request, tell)
    except Exception as error:
        return failed(error)
    return Finished()


def _send(fd: int, reply: Reply) -> None:
    data = memoryview(msgspec.json.encode(reply) + b"\n")
    while data:
        data = data[os.write(fd, data) :]


def _die_with_parent() -> None:
    """The kernel ends this process when its parent goes: a killed command leaves no training behind."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        sys.exit(1)


def _confine(limits: Limits) -> None:
    if limits.memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if limits.cpu_s:  # the soft limit tells by its signal what happened; the hard one is for who ignores it
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
