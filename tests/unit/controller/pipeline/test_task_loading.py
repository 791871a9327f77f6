"""A user's task: what is accepted, and one sentence for everything that is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from argosy.errors import InvalidInput, NotFound
from argosy_controller.pipeline.task import Data, Split, Task, checked_data, load_task

HEAD = "from argosy_controller.pipeline.task import Data, Split, Task\n"
WHOLE = (
    HEAD
    + "class Mine(Task):\n    name = 'mine'\n    settings = {'size': 'pixels'}\n    def data(self, seed): return 1\n    def model(self, seed): ...\n"
)


def _folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "task.py").write_text(text)
    return tmp_path


def test_loads_the_one_task_of_a_folder_with_its_settings(tmp_path: Path) -> None:
    task = load_task(_folder(tmp_path, WHOLE), {"size": "8"})
    assert (task.name, task.given) == ("mine", {"size": "8"})


def test_every_example_task_has_fewer_than_40_lines() -> None:
    examples = sorted((Path(__file__).parents[4] / "examples").rglob("task.py"))
    assert examples
    assert all(len(path.read_text().splitlines()) < 40 for path in examples)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = = 1", "did not run: SyntaxError"),
        ("import nothing_of_this_name", "did not run: ModuleNotFoundError: No module named 'nothing_of_this_name' (task.py line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero (task.py line 1)"),
        ("x = 1", "must define exactly one subclass of Task, and defines none"),
        (WHOLE + WHOLE.replace("Mine", "Other").removeprefix(HEAD), "defines Mine, Other"),
        (WHOLE.replace("    def data(self, seed): return 1\n", ""), "class Mine"),
        (WHOLE.replace("    name = 'mine'\n", ""), "lacks name"),
        (WHOLE.replace("'mine'", "'Not A Name'"), "model name 'Not A Name' is not usable"),
    ],
)
def test_says_what_is_wrong_with_a_task(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_task(_folder(tmp_path, text), {})
    assert says in str(caught.value)


def test_names_the_nearest_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no setting 'sise': did you mean 'size'"):
        load_task(_folder(tmp_path, WHOLE), {"sise": "8"})


def test_says_which_data_a_task_cannot_do_without(tmp_path: Path) -> None:
    folder = _folder(tmp_path, WHOLE)
    assert load_task(folder, {"size": str(tmp_path)}).path("size") == tmp_path
    with pytest.raises(InvalidInput, match=r"task 'mine' needs data .*: add --set size=PATH \(pixels\)"):
        load_task(folder, {}).path("size")
    with pytest.raises(InvalidInput, match="there is no nowhere for task 'mine'"):
        load_task(folder, {"size": "nowhere"}).path("size")


def test_a_task_imports_what_lies_beside_it_and_nothing_of_another_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "my_network.py").write_text(f"NUMBER = {number}\n")
        _folder(folder, WHOLE + "    from my_network import NUMBER as number\n")
    assert [load_task(tmp_path / one, {}).hyperparameters()["number"] for one in "121"] == [1, 2, 1]


def test_says_that_a_folder_holds_no_task(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no task\.py in"):
        load_task(tmp_path / "nowhere", {})


def _images(count: int, value: float = 0.0) -> Split:
    return Split({"image": np.full((count, 2), value, np.float32)}, np.zeros(count, np.int64))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (Data(train=_images(0), test=_images(1)), "the train data of task 'blobs' are empty"),
        (Data(train=_images(1), test=_images(0)), "the test data of task 'blobs' are empty"),
        (Data(train=_images(2), test=_images(1, np.nan)), "not finite"),
        (Data(train=_images(2), test=Split({"picture": np.zeros((1, 2))}, np.zeros(1))), "have inputs ['picture']"),
        (
            Data(train=_images(2), test=Split({"image": np.zeros((3, 2), np.float32)}, np.zeros(1))),
            "3 examples of input 'image' and 1 targets",
        ),
        (Data(train=_images(2), test=Split({"image": np.zeros((1, 3), np.float32)}, np.zeros(1))), "another shape or dtype"),
        ("data", "must return Data(train=..., test=...), not str"),
    ],
)
def test_data_are_looked_over_before_training(task: Task, monkeypatch: pytest.MonkeyPatch, data: object, says: str) -> None:
    monkeypatch.setattr(task, "data", lambda seed: data)
    with pytest.raises(InvalidInput) as caught:
        checked_data(task, 0)
    assert says in str(caught.value)


def test_a_task_that_raises_is_blamed_with_its_line(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(seed: int) -> Data:
        raise KeyError("labels")

    monkeypatch.setattr(task, "data", broken)
    with pytest.raises(InvalidInput, match=r"data\(\) of task 'blobs' failed: KeyError: 'labels' \(test_task_loading\.py line \d+\)"):
        checked_data(task, 0)


def test_front_doors_import_nothing_heavy() -> None:
    code = (
        "import sys, argosy_controller.pipeline.build, argosy_controller.pipeline.importing\n"
        "print([name for name in ('torch', 'numpy', 'onnx', 'onnxruntime', 'coremltools', 'litert_torch', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
