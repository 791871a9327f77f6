"""A recipe: what must be reached, which passes in which order, which variants. TOML, typed, and helpful when wrong.

summary = "half the channels, int8"
[goals]                       # every variant that can be measured must reach them
accuracy_at_least = 0.95      # judged at the low end of the 95 % interval
bytes_at_most = 100_000
[[passes]]
use = "prune-channels"
share = 0.5
[task]                        # the task's hyperparameters, in place of those it declares
learning_rate = 2e-3
[[variants]]
use = "onnx-int8"
goals = { bytes_at_most = 40_000 }   # this variant's own; they replace the ones above by name
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomllib

from argosy.errors import InvalidInput, NotFound
from argosy.names import check_name
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.goals import Goals
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.task import Hyperparameter
from argosy_controller.pipeline.toml_lines import Path as KeyPath
from argosy_controller.pipeline.toml_lines import key_lines

_MAX_BYTES = 1 << 20
_OF_VARIANT = ("use", "name", "goals")
S = TypeVar("S", bound=msgspec.Struct)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A pass and its options."""

    use: str
    config: Config


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant to export: which exporter (`onnx-int8`) with which options, under which name, with which goals."""

    use: str
    name: str
    goals: Goals
    config: Config


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A whole recipe, checked. `hyperparameters`: what [task] sets; only the task can say whether it has them."""

    summary: str
    hyperparameters: dict[str, Hyperparameter]
    steps: tuple[Step, ...]
    variants: tuple[Variant, ...]


def read_recipe(path: Path) -> Recipe:
    """Reads and checks a recipe file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the message names line, key, and the nearest right name.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise NotFound(f"recipe {path} cannot be read ({error.strerror}): name a TOML file") from error
    if len(raw) > _MAX_BYTES:
        raise InvalidInput(f"recipe {path} is larger than {_MAX_BYTES} bytes: it cannot be a recipe")
    try:
        return parse_recipe(raw.decode(), path.name)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"recipe {path} is not UTF-8 text (byte {error.start})") from error


def parse_recipe(text: str, name: str = "recipe") -> Recipe:
    """Checks a recipe's text; `name` is how messages call it. Raises as `read_recipe`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{name}: this is not TOML: {error}") from error
    return _Reader(name, key_lines(text)).recipe(document)


class _Reader:
    """Turns a document into structs; knows the file's name and its lines for messages."""

    def __init__(self, name: str, lines: Mapping[KeyPath, int]) -> None:
        self._name = name
        self._lines = lines

    def recipe(self, document: dict[str, Any]) -> Recipe:
        self._known((), document, ("summary", "task", "goals", "passes", "variants"))
        summary = document.get("summary", "")
        if not isinstance(summary, str):
            raise self._wrong(("summary",), "'summary' must be text")
        hyperparameters = self._hyperparameters(document.get("task", {}))
        goals = self._struct(("goals",), document.get("goals", {}), Goals)
        steps = [self._step(("passes", i), table) for i, table in enumerate(self._tables(document, "passes"))]
        variants = [self._variant(("variants", i), table, goals) for i, table in enumerate(self._tables(document, "variants"))]
        if not variants:
            raise InvalidInput(f"{self._name}: it names no variant: add [[variants]] with use = {sorted(EXPORTERS)[0]!r}")
        return Recipe(summary=summary, hyperparameters=hyperparameters, steps=tuple(steps), variants=self._distinct(variants))

    def _hyperparameters(self, table: object) -> dict[str, Hyperparameter]:
        if not isinstance(table, dict):
            raise self._wrong(("task",), "'task' must be a table of hyperparameters")
        for key, value in table.items():
            if not isinstance(value, (bool, int, float, str)):
                raise self._wrong(("task", key), f"{key!r} must be a number, a text, true or false")
        return table

    def _step(self, at: KeyPath, table: dict[str, Any]) -> Step:
        use = self._use(at, table, PASSES, "pass")
        options = {key: value for key, value in table.items() if key != "use"}
        return Step(use=use, config=self._struct(at, options, PASSES[use].config, also=("use",)))

    def _variant(self, at: KeyPath, table: dict[str, Any], goals: Goals) -> Variant:
        use = self._use(at, table, EXPORTERS, "variant")
        kind = EXPORTERS[use].config
        self._known(at, table, (*_OF_VARIANT, *kind.__struct_fields__))
        config = self._struct(at, {key: value for key, value in table.items() if key not in _OF_VARIANT}, kind)
        own = self._struct((*at, "goals"), table.get("goals", {}), Goals)
        merged = {key: value for one in (goals, own) for key, value in msgspec.structs.asdict(one).items() if value is not None}
        try:
            return Variant(use=use, name=check_name("variant", table.get("name", use)), goals=Goals(**merged), config=config)
        except InvalidInput as error:
            raise self._wrong((*at, "name"), str(error)) from error

    def _distinct(self, variants: list[Variant]) -> tuple[Variant, ...]:
        names = [one.name for one in variants]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self._wrong(("variants", index), f"variant {name!r} is there twice: give one of them another name = ...")
        return tuple(variants)

    def _tables(self, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
        tables = document.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            raise self._wrong((key,), f"{key!r} must be a list of tables: write [[{key}]] above each")
        return tables

    def _use(self, at: KeyPath, table: dict[str, Any], known: Mapping[str, object], kind: str) -> str:
        use = table.get("use")
        if not isinstance(use, str):
            raise self._wrong(at, f"a {kind} needs use = ..., one of {', '.join(sorted(known))}")
        if use not in known:
            raise self._wrong((*at, "use"), f"there is no {kind} {use!r}{nearest(use, known)}")
        return use

    def _known(self, at: KeyPath, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                raise self._wrong((*at, key), f"unknown key {key!r}{nearest(key, known)}")

    def _struct(self, at: KeyPath, table: object, kind: type[S], also: tuple[str, ...] = ()) -> S:
        if not isinstance(table, dict):
            raise self._wrong(at, f"{at[-1]!r} must be a table")
        self._known(at, table, (*kind.__struct_fields__, *also))
        for key, value in table.items():
            self._check_value((*at, key), key, value, kind)
        return msgspec.convert(table, kind)

    def _check_value(self, at: KeyPath, key: str, value: object, kind: type[msgspec.Struct]) -> None:
        try:
            msgspec.convert({key: value}, kind)
        except msgspec.ValidationError as error:
            raise self._wrong(at, f"{key!r} is {value!r}: {str(error).split(' - at')[0].lower()}") from error

    def _wrong(self, at: KeyPath, text: str) -> InvalidInput:
        """The error with its line: of the key itself, else of the nearest table around it."""
        line = next((self._lines[at[:end]] for end in range(len(at), 0, -1) if at[:end] in self._lines), None)
        return InvalidInput(f"{self._name}{f' line {line}' if line else ''}: {text}")
