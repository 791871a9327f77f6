"""Public names that a Core ML file can have. coremltools would quietly call the others something else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from argosy.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Words of the language in which ML programs are written.
_RESERVED = {"any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state"}
_RESERVED |= {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {"bf16", "fp16", "fp32", "fp64"}


def check_names(inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """That inputs and outputs can be called so in a Core ML file.

    Raises:
        InvalidInput: a name is no identifier, means something else there, or is there twice.
    """
    seen: set[str] = set()
    for kind, names in (("input", inputs), ("output", outputs)):
        for name in names:
            if not _NAME.fullmatch(name) or name in _RESERVED:
                why = "is a word of its own language" if name in _RESERVED else "is not made of letters, digits and _ alone"
                raise InvalidInput(f"{kind} {name!r} cannot be called so in a Core ML file, because it {why}: rename it in the task")
            if name in seen:
                raise InvalidInput(
                    f"{kind} {name!r} shares its name with another, and a Core ML file has each name once: rename one in the task"
                )
            seen.add(name)
