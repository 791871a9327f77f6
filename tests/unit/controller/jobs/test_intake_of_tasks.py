"""What may come in as a task, what a child finds around it, and which files are sent."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from argosy.errors import InvalidInput, NotFound
from argosy_controller.cli import remote_build
from argosy_controller.jobs.environment import child_environment
from argosy_controller.jobs.intake import UPLOAD_NAMES, BuildWish, move_in, read_wish, recipe_file, task_folder
from argosy_controller.jobs.places import Place

RECIPE = '[[variants]]\nuse = "onnx-fp32"\n'


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    folder = tmp_path / "upload"
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "task.py").write_text("raise SystemExit('nothing of it may run here')")
    (folder / "task" / "recipe.toml").write_text(RECIPE)
    write_request(folder)
    return folder


def write_request(folder: Path, **changed: object) -> None:
    wish = {"task": "digits", "recipe": "task/recipe.toml", **changed}
    (folder / "request.json").write_bytes(msgspec.json.encode(wish))


@pytest.mark.parametrize("name", ["task/task.py", "task/data/a b.npz", "recipe/r.toml", "request.json", "task/_x/y+1@2-3.txt"])
def test_plain_names_may_be_sent(name: str) -> None:
    assert UPLOAD_NAMES.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "task",
        "task/",
        "task/../x",
        "task/.env",
        "task/a/../../x",
        "/task/x",
        "recipe/a/b.toml",
        "task//x",
        "x/task.py",
        "task/a\\b",
        "task/é",
        "task/" + "/".join("a" * 17),
        "task/" + "a" * 101,
        "task/a\n",
        "request.json/x",
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    assert not UPLOAD_NAMES.fullmatch(name)


def test_reads_a_wish_without_running_the_task(upload: Path) -> None:
    assert read_wish(upload) == BuildWish(task="digits", recipe="task/recipe.toml")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"recipe": "task/none.toml"}, "holds no recipe 'task/none.toml'"),
        ({"recipe": "task/../../secret.toml"}, "holds no recipe"),
        ({"task": "../x"}, "request.json of the upload is wrong"),
        ({"task": ".x"}, "request.json of the upload is wrong"),
        ({"seed": "7"}, "request.json of the upload is wrong"),
        ({"more": 1}, "request.json of the upload is wrong"),
        ({"model": "No Model"}, "model"),
        ({"settings": {"a": "b" * 1001}}, "request.json of the upload is wrong"),
    ],
)
def test_wrong_wishes_are_told_in_a_sentence(upload: Path, changed: dict[str, object], sentence: str) -> None:
    write_request(upload, **changed)
    with pytest.raises(InvalidInput, match=sentence):
        read_wish(upload)


def test_mistake_in_a_recipe_is_told_with_its_line(upload: Path) -> None:
    (upload / "task" / "recipe.toml").write_text('[[variants]]\nuse = "onnx-fp31"\n')
    with pytest.raises(InvalidInput, match=r"recipe.toml line 2.*onnx-fp32"):
        read_wish(upload)


def test_upload_without_a_task_is_refused(upload: Path) -> None:
    (upload / "task" / "task.py").unlink()
    with pytest.raises(InvalidInput, match=r"no task/task\.py"):
        read_wish(upload)


def test_inputs_get_their_names_back(upload: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "builds" / "1")
    move_in(upload, read_wish(upload), place)
    assert (task_folder(place, "digits") / "task.py").is_file() and task_folder(place, "digits").name == "digits"
    assert recipe_file(place, "digits", "task/recipe.toml").read_text() == RECIPE
    assert recipe_file(place, "digits", "recipe/other.toml") == place.inputs / "recipe" / "other.toml"


def test_child_gets_no_secret_of_the_controller(tmp_path: Path) -> None:
    secrets = {"ARGOSY_TOKEN": "t", "ARGOSY_DATA": "d", "AWS_SECRET_ACCESS_KEY": "s", "GITHUB_TOKEN": "g", "HTTPS_PROXY": "http://u:p@h"}
    found = child_environment({**secrets, "PATH": "/bin", "HOME": "/root", "SSH_AUTH_SOCK": "/s"}, tmp_path)
    assert found["PATH"] == "/bin" and found["HOME"] == found["TMPDIR"] == str(tmp_path)
    assert not set(found) & {*secrets, "SSH_AUTH_SOCK"}


def test_sends_plain_files_and_neither_hidden_ones_nor_bundles(tmp_path: Path) -> None:
    for name in ("task.py", "data/x.npz", ".env", ".git/config", "__pycache__/task.pyc", "out/report.json", "out/variants/a/card.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(remote_build.task_files(tmp_path)) == ["task/task.py", "task/data/x.npz"]


def test_folder_without_a_task_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no task\.py"):
        remote_build.task_files(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_are_not_followed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "task.py").touch()
    (tmp_path / "link").symlink_to("/etc/hostname" if kind == "file" else "/etc")
    with pytest.raises(InvalidInput, match="is a link"):
        remote_build.task_files(tmp_path)


def test_too_many_files_or_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task.py").write_text("x" * 100)
    (tmp_path / "more.py").write_text("x" * 100)
    monkeypatch.setattr(remote_build, "MAX_TASK_BYTES", 150)
    with pytest.raises(InvalidInput, match="keep data elsewhere"):
        remote_build.task_files(tmp_path)
    monkeypatch.setattr(remote_build, "MAX_TASK_FILES", 1)
    with pytest.raises(InvalidInput, match="more than 1 files"):
        remote_build.task_files(tmp_path)
