"""Trained models made to harm who opens them. What they would run is a touch of a file: it must not be there after."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trained_files import save_exported

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.sources.exported import _is_operator, _is_size, read_exported
from argosy_controller.pipeline.sources.kinds import kind_of
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.task import Task

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.fixture
def archive(tmp_path: Path, trained: Any) -> Path:
    save_exported(trained, tmp_path / "m.pt2")
    return tmp_path / "m.pt2"


def _changed(path: Path, change: Callable[[str, bytes], bytes], extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path) as old:
        content = {one.filename: change(one.filename, old.read(one)) for one in old.infolist()}
    top = next(iter(content)).partition("/")[0]
    with zipfile.ZipFile(path, "w") as new:
        for name, data in {**content, **{f"{top}/{name}": data for name, data in (extra or {}).items()}}.items():
            new.writestr(name, data)
    return path


def _saved(thing: object) -> bytes:
    raw = io.BytesIO()
    torch.save(thing, raw)
    return raw.getvalue()


def test_archive_opens_at_all(archive: Path, trained: Any, images: Any) -> None:
    assert torch.equal(read_exported(archive).module()(images), trained(images))


def test_pickled_sample_inputs_are_never_opened(archive: Path, tmp_path: Path) -> None:
    bomb = _saved(Bomb(tmp_path / "ran"))
    read_exported(_changed(archive, lambda name, data: bomb if "sample_inputs" in name else data))
    assert not (tmp_path / "ran").exists()


def test_weights_that_ask_to_be_unpickled_are_refused(archive: Path, tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true')
        return _saved(Bomb(tmp_path / "ran")) if name.endswith("weight_0") else data

    with pytest.raises(InvalidInput, match="pickle"):
        read_exported(_changed(archive, change))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/weights/model.pt"])
def test_pickled_objects_are_refused_by_name(name: str, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither a tensor nor the graph"):
        read_exported(_changed(archive, lambda _, data: data, {name: pickle.dumps(Bomb(tmp_path / "ran"))}))
    assert not (tmp_path / "ran").exists()


def test_compiled_library_is_refused(archive: Path) -> None:
    with pytest.raises(InvalidInput, match="neither a tensor nor the graph"):
        read_exported(_changed(archive, lambda _, data: data, {"data/aotinductor/model/model.so": b"\x7fELF"}))


@pytest.mark.parametrize("target", ["torch.hub.load", "torch.load", "os.system", "torch.ops.aten.from_file.default", "torch._C._eval"])
def test_graph_that_calls_anything_but_operators_is_refused(target: str, archive: Path) -> None:
    changed = _changed(archive, lambda _, data: data.replace(b"torch.ops.aten.relu.default", target.encode()))
    with pytest.raises(InvalidInput, match="no tensor operator"):
        read_exported(changed)


def test_size_that_is_code_is_refused(archive: Path, tmp_path: Path) -> None:
    code = json.dumps(f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()").encode()

    def change(name: str, data: bytes) -> bytes:
        start = data.find(b'"expr_str": ')
        if not name.endswith("model.json") or start < 0:
            return data
        end = data.index(b'"', data.index(b'"', start + 12) + 1)
        return data[: start + 12] + code + data[end + 1 :]

    with pytest.raises(InvalidInput, match="no arithmetic"):
        read_exported(_changed(archive, change))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["Symbol('s31', positive=True, integer=True)", "2*s0 + 1", "Max(1, s0//2)", "s0**2", "-s1"])
def test_sizes_that_torch_writes_pass(text: str) -> None:
    assert _is_size(text)


@pytest.mark.parametrize(
    "text",
    ["().__class__", "s0.is_integer", "eval('1')", "[s0 for s0 in ()]", "lambda: 1", "Symbol('__import__')", "s0[0]", "", 3, "(" * 9000],
)
def test_sizes_that_could_run_code_do_not_pass(text: Any) -> None:
    assert not _is_size(text)


def test_operators_are_known_by_their_whole_name() -> None:
    assert _is_operator("torch.ops.aten.conv2d.default")
    assert not _is_operator("torch.ops.aten.conv2d.default.__globals__")
    assert not _is_operator("xtorch.ops.aten.conv2d.default")


def test_archive_that_unpacks_to_far_more_than_it_is_is_refused_unopened(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "m.pt2", "w", zipfile.ZIP_DEFLATED) as bomb,
        bomb.open("m/models/m.json", "w", force_zip64=True) as entry,
    ):
        for _ in range(2100):
            entry.write(bytes(1 << 20))
    with pytest.raises(InvalidInput, match="unpacks to more"):
        kind_of(tmp_path / "m.pt2")


def test_safetensors_that_declare_more_than_they_hold_are_refused(tmp_path: Path, with_model: Task) -> None:
    header = json.dumps({"0.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InvalidInput, match="damaged safetensors"):
        open_trained(tmp_path / "m.safetensors", with_model, with_model.data(0), 0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_archive_with_any_bytes_changed_opens_or_gets_a_sentence(data: st.DataObject, archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "fuzzed.pt2").write_bytes(content)
    try:
        read_exported(tmp_path / "fuzzed.pt2")
    except ArgosyError as error:
        assert "\n" not in str(error)
