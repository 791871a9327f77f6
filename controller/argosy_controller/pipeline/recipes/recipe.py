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

With a [search] table, every option of a pass or a variant, every hyperparameter, and `enabled` of a pass may be left open:

[search]
method = "bayes"
objectives = ["accuracy", "bytes"]
[[passes]]
use = "prune-magnitude"
share = { low = 0.5, high = 0.98 }
enabled = { choices = [true, false] }
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomllib
from msgspec import inspect

from argosy.errors import InvalidInput, NotFound
from argosy.names import check_name
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.absent import ABSENT
from argosy_controller.pipeline.numbers.goals import Goals
from argosy_controller.pipeline.options import Config, TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.recipes.toml_lines import Path as KeyPath
from argosy_controller.pipeline.recipes.toml_lines import key_lines
from argosy_controller.pipeline.search.differentiable import check_stages
from argosy_controller.pipeline.search.settings import SearchConfig
from argosy_controller.pipeline.search.space import (
    Dimension,
    Point,
    Space,
    WrongDimension,
    check_grid,
    filled,
    open_options,
    read_dimension,
)
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.task import Hyperparameter, Task

_MAX_BYTES = 1 << 20
_OF_VARIANT = ("use", "name", "goals")
S = TypeVar("S", bound=msgspec.Struct)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A pass and its options; `place` is its position among all passes of the recipe, also those that are not enabled."""

    use: str
    config: Config
    place: int = 0


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant to export: which exporter (`onnx-int8`) with which options, under which name, with which goals."""

    use: str
    name: str
    goals: Goals
    config: Config


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe leaves open, and how that is decided.

    Attributes:
        judge: name of the variant whose file is measured.
        text, name: the recipe's own, from which a candidate's recipe is read (`parse_recipe` with a point).
    """

    config: SearchConfig
    space: Space
    judge: str
    text: str
    name: str


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A whole recipe, checked.

    Attributes:
        hyperparameters: what [task] sets; only the task can say whether it has them.
        search: None for a plain recipe; with it, all that is open has its first value here.
    """

    summary: str
    hyperparameters: dict[str, Hyperparameter]
    steps: tuple[Step, ...]
    variants: tuple[Variant, ...]
    search: Search | None = None


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


def parse_recipe(text: str, name: str = "recipe", point: Point | None = None) -> Recipe:
    """Checks a recipe's text. Raises as `read_recipe`.

    Args:
        name: how messages call it.
        point: values for all that is open; the result is a plain recipe.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{name}: this is not TOML: {error}") from error
    reader = _Reader(name, key_lines(text))
    if "search" not in document:
        return reader.plain(document)
    config, space = reader.search(document)
    recipe = reader.plain(filled(document, space, point or space.first()))
    if point is not None:
        return recipe
    judge = reader.check_search(config, space, document, recipe)
    return msgspec.structs.replace(recipe, search=Search(config=config, space=space, judge=judge, text=text, name=name))


class _Enabled(Config, frozen=True, kw_only=True):
    """What every pass takes beside its own options."""

    enabled: bool = True


class _Reader:
    """Turns a document into structs; knows the file's name and its lines for messages."""

    def __init__(self, name: str, lines: Mapping[KeyPath, int]) -> None:
        self._name = name
        self._lines = lines

    def search(self, document: dict[str, Any]) -> tuple[SearchConfig, Space]:
        """[search], and what is open; whether its values are allowed is checked by `check_search`."""
        config = self._struct(("search",), document["search"], SearchConfig)
        dimensions = [self._dimension(document, *one) for one in self._open(document)]
        if not dimensions:
            raise self._wrong(("search",), "[search] has nothing to search: leave an option open, as share = { low = 0.5, high = 0.9 }")
        for one in dimensions:
            if [other.name for other in dimensions].count(one.name) > 1:
                raise self._wrong(one.path, f"{one.name!r} is open twice: give the variant another name = ...")
        return config, Space(tuple(dimensions))

    def _open(self, document: dict[str, Any]) -> list[tuple[str, KeyPath, dict[str, Any]]]:
        def takes_table(path: KeyPath) -> bool:
            kind = self._kind(document, path)
            return kind is not None and inspect.DictType in _types(kind, str(path[-1]))

        return open_options(document, takes_table)

    def _dimension(self, document: dict[str, Any], name: str, path: KeyPath, table: dict[str, Any]) -> Dimension:
        kind = self._kind(document, path)
        integer = _is_integer(kind, str(path[-1])) if kind else all(type(table.get(end)) is int for end in ("low", "high"))
        try:
            return read_dimension(name, path, table, integer)
        except WrongDimension as error:
            raise self._wrong(error.path, str(error)) from error

    def check_search(self, config: SearchConfig, space: Space, document: dict[str, Any], recipe: Recipe) -> str:
        """Every value that may be tried, and that the method can try them; returns the judged variant's name."""
        for one in space.dimensions:
            table = _at(document, one.path)
            kind = self._kind(document, one.path)
            if kind is not None:
                for value in table.get("choices", (table.get("low"), table.get("high"))):
                    self._check_value(one.path, str(one.path[-1]), value, kind)
        try:
            if config.method == "grid":
                check_grid(space, config.most_trials)
            if config.method == "gradient":
                check_stages(space, {("passes", at): one.get("use", "") for at, one in enumerate(document.get("passes", []))})
        except WrongDimension as error:
            raise self._wrong(error.path, str(error)) from error
        if len(set(config.objectives)) < len(config.objectives):
            raise self._wrong(("search", "objectives"), f"'objectives' name one twice: {', '.join(config.objectives)}")
        names = [one.name for one in recipe.variants]
        if config.judge and config.judge not in names:
            raise self._wrong(("search", "judge"), f"there is no variant {config.judge!r} to judge{nearest(config.judge, names)}")
        return config.judge or names[0]

    def _kind(self, document: dict[str, Any], path: KeyPath) -> type[Config] | None:
        """The options to which an open one belongs; None for a hyperparameter that only the task knows."""
        if path[0] == "task":
            return TrainingConfig if path[1] in TrainingConfig.__struct_fields__ and hasattr(Task, str(path[1])) else None
        if path[-1] == "enabled" and path[0] == "passes":
            return _Enabled
        known: Mapping[str, Any] = PASSES if path[0] == "passes" else EXPORTERS
        one = known.get(_at(document, path[:-1]).get("use", ""))
        return one.config if one is not None and path[-1] in one.config.__struct_fields__ else None

    def plain(self, document: dict[str, Any]) -> Recipe:
        """A recipe without a search."""
        for _, path, _ in self._open(document):
            raise self._wrong(path, f"{path[-1]!r} is a table: give it one value, or add [search] to have values tried")
        self._known((), document, ("summary", "task", "goals", "passes", "variants", "search"))
        summary = document.get("summary", "")
        if not isinstance(summary, str):
            raise self._wrong(("summary",), "'summary' must be text in quotes")
        goals = self._struct(("goals",), document.get("goals", {}), Goals)
        hyperparameters = self._hyperparameters(document.get("task", {}))
        steps = [self._step(("passes", i), table) for i, table in enumerate(self._tables(document, "passes"))]
        variants = [self._variant(("variants", i), table, goals) for i, table in enumerate(self._tables(document, "variants"))]
        if not variants:
            raise InvalidInput(f"{self._name}: it names no variant: add [[variants]] with use = {sorted(EXPORTERS)[0]!r}")
        enabled = tuple(one for one in steps if one is not None)
        return Recipe(summary=summary, hyperparameters=hyperparameters, steps=enabled, variants=self._distinct(variants))

    def _hyperparameters(self, table: object) -> dict[str, Hyperparameter]:
        if not isinstance(table, dict):
            raise self._wrong(("task",), "'task' must be a table of hyperparameters")
        for key, value in table.items():
            if not isinstance(value, (bool, int, float, str)):
                raise self._wrong(("task", key), f"{key!r} must be a number, a text, true or false")
        return table

    def _step(self, at: KeyPath, table: dict[str, Any]) -> Step | None:
        """A pass; None when it is there and not enabled."""
        use = self._use(at, table, PASSES, "pass")
        self._known(at, table, ("use", "enabled", *PASSES[use].config.__struct_fields__))
        own = self._struct(at, {key: value for key, value in table.items() if key == "enabled"}, _Enabled)
        config = self._struct(at, {key: value for key, value in table.items() if key not in ("use", "enabled")}, PASSES[use].config)
        return Step(use=use, config=config, place=int(at[1])) if own.enabled else None

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
            raise self._wrong((*at, "use"), f"there is no {kind} {use!r}{ABSENT.get(use) or nearest(use, known)}")
        return use

    def _known(self, at: KeyPath, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                raise self._wrong((*at, key), f"unknown key {key!r}{nearest(key, known)}")

    def _struct(self, at: KeyPath, table: object, kind: type[S]) -> S:
        if not isinstance(table, dict):
            raise self._wrong(at, f"{at[-1]!r} must be a table")
        self._known(at, table, kind.__struct_fields__)
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


def _at(document: Any, path: KeyPath) -> Any:
    for key in path:
        document = document[key]
    return document


def _is_integer(kind: type[Config], key: str) -> bool:
    """Whether an option takes whole numbers only."""
    kinds = _types(kind, key)
    return inspect.IntType in kinds and inspect.FloatType not in kinds


def _types(kind: type[Config], key: str) -> list[type[inspect.Type]]:
    """What an option may be, as msgspec names it."""
    found = next(one.type for one in inspect.type_info(kind).fields if one.name == key)  # type: ignore[attr-defined]
    plain = found.type if isinstance(found, inspect.Metadata) else found
    return [type(one) for one in (plain.types if isinstance(plain, inspect.UnionType) else (plain,))]
