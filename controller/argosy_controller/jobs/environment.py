"""The environment of a build on the controller: nothing of the controller's own but what a program needs to run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

#: Tokens, keys and addresses travel in variables; so nothing passes that is not named here.
_PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE")


def child_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Variables for a child that lives in the folder `home`: its home, its temporary files and its caches are there."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
