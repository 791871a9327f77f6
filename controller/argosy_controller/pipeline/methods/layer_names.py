"""Options that are given per layer, as `layers = { "fc3" = 0.3, "features.*" = 0.5 }`: whose value is whose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from argosy.errors import InvalidInput
from argosy_controller.pipeline.spelling import nearest

V = TypeVar("V")


def by_layer(names: Iterable[str], given: Mapping[str, V]) -> dict[str, V]:
    """The value of each layer that is named, by the first pattern that fits it; other layers are left out.

    Args:
        names: of all layers that may have a value.
        given: values by shell pattern (`*`, `?`, `[0-9]`) over whole layer names.

    Raises:
        InvalidInput: a pattern fits no layer.

    Examples:
        >>> by_layer(["conv1", "conv2", "fc"], {"conv*": 0.5})
        {'conv1': 0.5, 'conv2': 0.5}
    """
    known = list(names)
    for pattern in given:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise InvalidInput(f"the model has no layer {pattern!r} with weights{nearest(pattern, known)}")
    fitting = {name: [value for pattern, value in given.items() if fnmatchcase(name, pattern)] for name in known}
    return {name: values[0] for name, values in fitting.items() if values}
