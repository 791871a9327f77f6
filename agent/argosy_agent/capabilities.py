"""What this device can run and decode, found out without importing a runtime."""

from __future__ import annotations

import os
import platform
from importlib.util import find_spec

from msgspec.structs import replace

import argosy
from argosy.errors import InvalidInput
from argosy.protocol.reported import Capabilities, Runtime, newest_opset
from argosy_agent.runtimes import available
from argosy_agent.settings import Settings


def capabilities_of(settings: Settings) -> Capabilities:
    """The installed runtimes, reduced to those in the settings and in their order, and the rest of what a device tells.

    Raises:
        InvalidInput: a runtime in the settings is not installed.
    """
    return Capabilities(
        runtimes=[replace(one, opset=newest_opset(one)) for one in chosen(available(), settings.runtimes)],
        precisions=list(settings.precisions),
        encodings=["identity", "zstd"] if find_spec("zstandard") else ["identity"],
        machine=platform.machine(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        agent=argosy.__version__,
    )


def chosen(installed: list[Runtime], wanted: tuple[str, ...]) -> list[Runtime]:
    """The wanted runtimes in their order, all that are installed for none.

    Raises:
        InvalidInput: a wanted one is not installed.
    """
    by_name = {runtime.name: runtime for runtime in installed}
    for name in wanted:
        if name not in by_name:
            raise InvalidInput(f"runtime {name!r:.60} is not installed here: installed are {', '.join(by_name) or 'none'}")
    return [by_name[name] for name in wanted] if wanted else installed
