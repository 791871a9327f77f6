"""What recipes can name, as plain data: read from the registries of passes and exporters, so it is never behind them.

`controller recipes` prints it, docs/reference-passes.md is written from it. No torch here: passes import it inside functions.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import inspect as types

from argosy.errors import NotFound
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.numbers.goals import Goals
from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.search.settings import SearchConfig
from argosy_controller.pipeline.spelling import nearest

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
#: A bound that only keeps infinity out.
_ENDLESS = 1e100
_LENGTHS = {"min_length": ">=", "max_length": "<="}
_TABLES = {
    "goals": (Goals, "What every variant must reach; a variant's own goals = { ... } replace these by name."),
    "search": (SearchConfig, "How options that are left open are decided: share = { low = 0.3, high = 0.8 }, scope = { choices = [...] }."),
}
Kind = Literal["pass", "variant", "table"]
_MODELS = {"network": "a network of torch's layers", "graph": "a whole ONNX graph", "estimator": "a fitted estimator of scikit-learn"}
_SHORT = {"IntType": "integer", "FloatType": "number", "BoolType": "true or false", "StrType": "text", "NoneType": "nothing"}


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a pass or a variant.

    Attributes:
        kind: what it takes, in words: `integer`, `number`, `text`, `true or false`, `list of integer`.
        default: None for nothing, where the description says what that means.
        range: bounds in words (`0 to 1`, `>= 0 and < 1`); empty for none.
        choices: everything that is allowed; empty where that is not a list.
        shared: it is one of the options that everything that trains takes.
    """

    name: str
    kind: str
    default: Any
    description: str
    unit: str = ""
    range: str = ""
    choices: list[Any] = []
    shared: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A pass or a variant, which a recipe's `use = ...` can be, or a table that a recipe may have.

    Attributes:
        what: it does, in one sentence.
        more: an example before and after, or how it works.
        paper: where the method is from; empty for a plain conversion.
        format, precision: of a variant's file; empty for a pass.
        takes: kinds of model that a pass changes: `network`, `graph`, `estimator`; empty for the others.
    """

    kind: Kind
    name: str
    what: str
    more: str
    paper: str
    options: list[Option]
    format: str = ""
    precision: str = ""
    takes: list[str] = []


def entries() -> list[Entry]:
    """All passes, then all variants, in the order of their registries; then the tables beside them."""
    passes = [_entry("pass", name, one) for name, one in PASSES.items()]
    variants = [_entry("variant", name, one) for name, one in EXPORTERS.items()]
    return passes + variants + [_table(name, config, what) for name, (config, what) in _TABLES.items()]


def taken(one: Entry) -> str:
    """What a pass changes, in words; empty for a variant or a table."""
    return " or ".join(_MODELS[kind] for kind in one.takes)


def entry(name: str) -> Entry:
    """The pass, variant or table of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    known = {one.name: one for one in entries()}
    if name not in known:
        raise NotFound(f"there is no pass, variant or table {name[:60]!r}{nearest(name, known)}")
    return known[name]


def example(one: Entry) -> str:
    """How a recipe asks for it: TOML with the options of its own at their defaults, each with its sentence."""
    own = [option for option in one.options if not option.shared] or [option for option in one.options if option.name == "epochs"]
    settings = [(f"{option.name} = {toml(option.default)}", _remark(option)) for option in own if option.default is not None]
    width = max((len(text) for text, _ in settings), default=0)
    lines = [f"{text.ljust(width)}  # {remark}" if remark else text for text, remark in settings]
    head = [f"[{one.name}]"] if one.kind == "table" else [f"[[{'passes' if one.kind == 'pass' else 'variants'}]]", f'use = "{one.name}"']
    return "\n".join([*head, *lines])


def _remark(option: Option) -> str:
    choices = " | ".join(str(choice) for choice in option.choices)
    return "; ".join(part for part in (choices, option.description) if part)


def toml(value: Any) -> str:
    """A default as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }" if value else "{}"
    return repr(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _entry(kind: Kind, name: str, one: Any) -> Entry:
    return Entry(
        kind=kind,
        name=name,
        what=_paragraph(sys.modules[type(one).__module__].__doc__),
        more=_paragraph(type(one).__doc__),
        paper=one.paper,
        options=list(_options(one.config)),
        format=getattr(one, "format", ""),
        precision=getattr(one, "precision", ""),
        takes=sorted(getattr(one, "takes", ())),
    )


def _table(name: str, config: type[Any], what: str) -> Entry:
    return Entry(kind="table", name=name, what=what, more="", paper="", options=list(_options(config)))


def _paragraph(text: str | None) -> str:
    """The first paragraph of a docstring in one line."""
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def _options(config: type[Any]) -> Iterator[Option]:
    told = _told(config)
    described = types.type_info(config)
    assert isinstance(described, types.StructType)
    for one in described.fields:
        bare = one.type.type if isinstance(one.type, types.Metadata) else one.type
        yield Option(
            name=one.name,
            kind=_kind(bare),
            default=_default(one),
            description=_description(one.type) or told.get(one.name, ""),
            unit=_unit(one.type),
            range=_range(bare),
            choices=_choices(bare),
            shared=one.name in TrainingConfig.__struct_fields__ and issubclass(config, TrainingConfig),
        )


def _default(one: types.Field) -> Any:
    value = one.default_factory() if callable(one.default_factory) else one.default
    return None if value is msgspec.NODEFAULT else msgspec.json.decode(msgspec.json.encode(value))


def _description(kind: types.Type) -> str:
    """What its Meta says; of something or nothing the something's."""
    if isinstance(kind, types.UnionType):
        return next((found for found in map(_description, kind.types) if found), "")
    return str((kind.extra_json_schema or {}).get("description", "")) if isinstance(kind, types.Metadata) else ""


def _unit(kind: types.Type) -> str:
    extra = kind.extra if isinstance(kind, types.Metadata) else None
    return str((extra or {}).get("unit", ""))


def _kind(one: types.Type) -> str:
    if isinstance(one, types.Metadata):
        return _kind(one.type)
    if isinstance(one, types.UnionType):
        return " or ".join(_kind(part) for part in one.types if not isinstance(part, types.NoneType))
    if isinstance(one, types.LiteralType):
        return "text" if all(isinstance(value, str) for value in one.values) else "number"
    if isinstance(one, (types.ListType, types.VarTupleType)):
        return f"list of {_kind(one.item_type)}"
    if isinstance(one, types.DictType):
        return f"table of {_kind(one.value_type)}"
    return _SHORT.get(type(one).__name__, type(one).__name__.removesuffix("Type").lower())


def _range(one: types.Type) -> str:
    if isinstance(one, types.Metadata):
        return _range(one.type)
    if isinstance(one, types.UnionType):
        return next((found for found in map(_range, one.types) if found), "")
    if isinstance(one, (types.ListType, types.VarTupleType)) and (each := _range(one.item_type)):
        return f"each {each}"
    bounds = {name: getattr(one, name, None) for name in _BOUNDS}
    real = {name: bound for name, bound in bounds.items() if bound is not None and abs(bound) < _ENDLESS}
    if set(real) == {"ge", "le"}:
        return f"{real['ge']:,} to {real['le']:,}"
    found = [f"{sign} {real[name]:,}" for name, sign in _BOUNDS.items() if name in real]
    found += [f"length {sign} {getattr(one, name):,}" for name, sign in _LENGTHS.items() if getattr(one, name, None) is not None]
    return " and ".join(found)


def _choices(one: types.Type) -> list[Any]:
    if isinstance(one, types.Metadata):
        return _choices(one.type)
    if isinstance(one, types.UnionType):
        return [value for part in one.types for value in _choices(part)]
    if isinstance(one, (types.ListType, types.VarTupleType)):
        return _choices(one.item_type)
    return list(one.values) if isinstance(one, types.LiteralType) else []


def _told(config: type[Any]) -> dict[str, str]:
    """What the docstrings of the options' class, and of those that it builds on, say under `Attributes:`."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        section = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("Attributes:\n")[2]
        for names, text in re.findall(r"^ {4}([\w, ]+): (.+(?:\n {8}.+)*)", section, flags=re.MULTILINE):
            found |= {name.strip(): " ".join(text.split()).rstrip(".") for name in names.split(",")}
    return found
