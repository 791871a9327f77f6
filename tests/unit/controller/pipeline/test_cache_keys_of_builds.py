"""What goes into keys: contents that decide, bounded looks at folders, and nothing that a strange setting could break."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from argosy_controller.pipeline.caching import remembering
from argosy_controller.pipeline.caching.remembering import state_digest


def test_lists_of_texts_do_not_run_together() -> None:
    assert remembering._digest("ab", "c") != remembering._digest("a", "bc") != remembering._digest("abc")


def test_content_of_a_file_decides_and_its_time_does_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = remembering._content(tmp_path / "a")
    os.utime(tmp_path / "a", (1, 1))
    assert remembering._content(tmp_path / "a") == before
    (tmp_path / "a").write_text("y")
    assert remembering._content(tmp_path / "a") != before


@pytest.mark.parametrize("value", ["x" * 5000, "no/such/place", "\0", "7"])
def test_settings_that_are_no_paths_have_no_content(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert remembering._content(Path(value)) == ""


def test_files_of_a_task_leave_out_the_recipe_hidden_files_and_bundles(tmp_path: Path) -> None:
    for name in ("task.py", "recipe.toml", "words/a.txt", ".hidden", "__pycache__/task.pyc", "out/report.json", "out/variants/x/card.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [line.split()[0] for line in remembering._files_of(tmp_path, tmp_path / "recipe.toml")]
    assert found == ["task.py", "words/a.txt"]


def test_folder_without_end_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(remembering, "_MOST_FILES", 5)
    assert len(list(remembering._walk(tmp_path))) == 5


def test_any_weight_buffer_or_layer_changes_the_digest_of_a_model() -> None:
    def model() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    first = state_digest(model())
    assert first == state_digest(model())
    for name in model().state_dict():
        changed = model()
        with torch.no_grad():
            changed.state_dict()[name].add_(1)
        assert state_digest(changed) != first, name
    assert state_digest(torch.nn.Sequential(*model(), torch.nn.ReLU())) != first
