"""Names of devices, models, slots, variants, and labels: what is allowed, checked in one place.

Names end up in MQTT topics, file paths, URLs, certificates and TUF role names, so one narrow alphabet serves all:
lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 63 characters (RFC 1123 labels
widened by `.` and `_`). `..` is refused, so no name can climb out of a folder; `/`, `+` and `#` never appear in a topic.
"""

from __future__ import annotations

import re

from argosy.errors import InvalidInput

PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_NAME = re.compile(PATTERN)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

#: The certificate name of the controller itself at the broker; no device may have it.
CONTROLLER = "controller"
#: A selector key that means the device's own name, so no label may have it.
DEVICE_KEY = "device"


def check_name(kind: str, name: str) -> str:
    """Returns `name` if it is a legal name.

    Args:
        kind: what is being named ("device", "model", "slot"...), for the message.
        name: the candidate.

    Raises:
        InvalidInput: it is not; the message says what is allowed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(
            f"{kind} name {name!r:.80} is not usable: use 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit"
        )
    if kind == "device" and name == CONTROLLER:
        raise InvalidInput(f"device name {name!r} is reserved for the controller itself: choose another")
    return name


def check_file_name(name: str) -> str:
    """Returns `name` if it is one legal file name: no folder, nothing hidden, nothing that climbs out.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(
            f"file name {name!r:.80} is not usable: use 1 to 100 letters, digits, '.', '_', '-', beginning with a letter or digit"
        )
    return name


def is_digest(text: str) -> bool:
    """Whether `text` is a sha256 as it is written here: 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def check_label(key: str, value: str) -> tuple[str, str]:
    """Returns `(key, value)` if both are legal.

    Raises:
        InvalidInput: a key that is no name or is reserved, or a value with characters beyond letters, digits, `.`, `_`, `-`.
    """
    check_name("label", key)
    if key == DEVICE_KEY:
        raise InvalidInput(f"label {key!r} is reserved: in selectors it means the device's own name")
    if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
        raise InvalidInput(f"label {key}={value!r:.80} is not usable: a value has 1 to 63 letters, digits, '.', '_' or '-'")
    return key, value


def parse_label(text: str) -> tuple[str, str]:
    """Parses `key=value`.

    Raises:
        InvalidInput: no `=`, or an illegal key or value.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"label {text!r:.80} has no '=': write it as key=value, for example site=lab")
    return check_label(key, value)


def parse_version(text: str) -> tuple[str, int]:
    """Parses `model@version`, for example `digits@2`.

    Raises:
        InvalidInput: it does not parse.
    """
    model, at, number = text.partition("@")
    if not at or not number.isascii() or not number.isdigit() or not int(number[:9]) >= 1 or len(number) > 9:
        raise InvalidInput(f"{text!r:.80} names no version: write MODEL@NUMBER, for example digits@2")
    return check_name("model", model), int(number)
