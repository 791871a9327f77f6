"""Reads `torch.export` archives (.pt2) without trusting them.

torch's own reader runs what such a file tells it to: it unpickles sample inputs, constants and weights that say so, loads
compiled libraries, looks up a function by its dotted name for every node, and evaluates sizes as Python expressions. So the
archive is copied first, with nothing in it but plain tensors and the graph, and the graph may only call tensor operators.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from argosy.errors import InvalidInput
from argosy_controller.pipeline.spelling import first_line

_MAX_GRAPH_BYTES = 64 << 20
_GRAPH = re.compile(r"models/[^/]+\.json")
_PLAIN = re.compile(
    r"data/(?:weights|constants)/(?:weight_\d+|tensor_\d+|[^/]+_config\.json)"
    r"|archive_format|archive_version|byteorder|(?:\.data/)?version|\.data/serialization_id"
)
_SAMPLES = re.compile(r"data/sample_inputs/[^/]+\.pt")
_IGNORED = re.compile(r"extra/.*")
_OPERATORS = re.compile(
    r"(?:torch\.ops\.(?:aten|prims)\.(?!from_file)\w+\.\w+|_operator\.(?:add|sub|mul|floordiv|mod|neg|eq|ne|ge|gt|le|lt|getitem))"
)
#: What sizes are written with (sympy): symbols, numbers, arithmetic and comparisons.
_SIZE_WORDS = re.compile(
    r"[su]\d+|Symbol|Integer|Max|Min|Mod|FloorDiv|CleanDiv|PythonMod|ModularIndexing|Eq|Ne|Ge|Gt|Le|Lt|oo|int_oo|true|false"
)
_SIZE_SYNTAX = (
    *(ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare),
    *(ast.operator, ast.unaryop, ast.cmpop),
)
_LONGEST_SIZE = 10_000


def read_exported(path: Path) -> ExportedProgram:
    """The program of an archive.

    Raises:
        InvalidInput: it is damaged, or holds anything but a graph of tensor operators and its tensors.
    """
    clean = _cleaned(path)
    logging.getLogger("torch.export").setLevel(logging.ERROR)
    try:
        return torch.export.load(clean)
    except Exception as error:  # the reader raises what it likes
        raise InvalidInput(f"{path.name} cannot be read as a torch.export archive: {type(error).__name__}: {first_line(error)}") from error


def _cleaned(path: Path) -> io.BytesIO:
    """The same archive without anything that the reader would run."""
    clean = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as copy:
            for entry in archive.infolist():
                content = _kept(archive, entry, path.name)
                if content is not None:
                    copy.writestr(entry.filename, content)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"{path.name} is a damaged archive: {first_line(error)}") from error
    clean.seek(0)
    return clean


def _kept(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: str) -> bytes | None:
    inside = entry.filename.partition("/")[2]
    if _IGNORED.fullmatch(inside):
        return None
    if _SAMPLES.fullmatch(inside):
        return b""  # a pickle; the reader takes an empty one for no samples
    if not _PLAIN.fullmatch(inside) and not _GRAPH.fullmatch(inside):
        raise InvalidInput(f"{file} holds {inside!r:.120}, which is neither a tensor nor the graph: export the model again without it")
    if inside.endswith(".json"):
        if entry.file_size > _MAX_GRAPH_BYTES:
            raise InvalidInput(f"{file} holds a description of {entry.file_size} bytes, at most {_MAX_GRAPH_BYTES} are read")
        _check_description(archive.read(entry), file)
    return archive.read(entry)


def _check_description(content: bytes, file: str) -> None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} holds a damaged description: {first_line(error)}") from error
    for key, value in _pairs(document):
        if key == "use_pickle" and value:
            raise InvalidInput(f"{file} keeps a tensor as a Python pickle, which is never opened: save it with a current torch")
        if key == "target" and isinstance(value, str) and "." in value and not _is_operator(value):
            raise InvalidInput(f"{file} calls {value!r:.120}, which is no tensor operator: only torch.ops.aten may be in a graph")
        if key == "expr_str" and not _is_size(value):
            raise InvalidInput(f"{file} has a size {value!r:.120} that is no arithmetic: export the model again")


def _pairs(document: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of a JSON document, at any depth."""
    pending = [document]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            yield from one.items()
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


def _is_operator(target: str) -> bool:
    return bool(_OPERATORS.fullmatch(target))


def _is_size(text: Any) -> bool:
    """Whether evaluating a text can do nothing but arithmetic on known names."""
    if not isinstance(text, str) or len(text) > _LONGEST_SIZE:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = [one.id for one in nodes if isinstance(one, ast.Name)]
    texts = [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return all(isinstance(one, _SIZE_SYNTAX) for one in nodes) and all(_SIZE_WORDS.fullmatch(one) for one in (*names, *texts))
