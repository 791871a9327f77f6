"""A serving worker driven as the supervisor drives it; for benchmarks and integration tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argosy.protocol.desired import SlotContent
from argosy_agent.children import start_python
from argosy_agent.messages import Answer, Channel, Load, Loaded, Ready, Stop, Swap, Swapped, channel_pair

_DEVICE = Path(__file__).parents[2] / ".venv-device" / "bin" / "python"
#: The interpreter of the device environment where there is one.
DEVICE_PYTHON = _DEVICE if _DEVICE.exists() else Path(sys.executable)
ANSWER_WITHIN_S = 30.0


class WorkerProcess:
    """`python -m argosy_agent.worker` and the supervisor's end of its channel."""

    def __init__(self, endpoint: str = "127.0.0.1:0", args: Sequence[str] = (), python: Path = DEVICE_PYTHON) -> None:
        ours, theirs = channel_pair()
        ours.settimeout(ANSWER_WITHIN_S)
        self.channel = Channel(ours, Answer)
        arguments = ["--fd", str(theirs.fileno()), "--endpoint", endpoint, *args]
        self.process = start_python("argosy_agent.worker", arguments, python=python, pass_fds=[theirs.fileno()])
        theirs.close()
        self.first = self.channel.receive()

    @property
    def url(self) -> str:
        """The endpoint's address without scheme, as clients of Triton want it."""
        assert isinstance(self.first, Ready), self.first
        return self.first.endpoint.removeprefix("http://")

    def ask(self, order: Any) -> Any:
        """Sends an order and gives the next answer."""
        self.channel.send(order)
        return self.channel.receive()

    def serve(self, slot: str, folder: Path, content: SlotContent, runtime: str = "onnxruntime") -> None:
        """Loads and swaps, asserting that both went well."""
        loaded = self.ask(Load(slot=slot, folder=str(folder), content=content, runtime=runtime))
        assert isinstance(loaded, Loaded), loaded
        swapped = self.ask(Swap(slot=slot))
        assert isinstance(swapped, Swapped), swapped

    def stop(self) -> int:
        """Ends it in good order; its exit code."""
        self.channel.send(Stop())
        return self.process.wait(ANSWER_WITHIN_S)

    def kill(self) -> None:
        """Ends it whatever it does."""
        self.channel.close()
        self.process.kill()
        self.process.wait(ANSWER_WITHIN_S)
