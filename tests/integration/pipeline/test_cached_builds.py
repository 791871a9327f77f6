"""Builds with a cache: the same bytes as without, nothing computed twice, and going on near where a killed one was."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import ArgosyError
from argosy_controller.pipeline import building, compressing
from argosy_controller.pipeline.caching import remembering
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.report import read_report

pytestmark = pytest.mark.integration
TASK = Path(__file__).parents[2] / "support" / "tiny_task"
RECIPE = """
summary = "smaller"
[[passes]]
use = "prune-channels"
share = 0.5
multiple_of = 1
[[passes]]
use = "prune-magnitude"
share = 0.3
[[passes]]
use = "finetune"
epochs = 2
[[variants]]
use = "onnx-fp32"
"""


@pytest.fixture(autouse=True)
def same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever edits the pipeline while tests run must not make them fail."""
    monkeypatch.setattr(remembering, "own_sources", lambda: "sources")


class Builder:
    """Builds in this process, and remembers the stages that it heard of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.recipe = folder / "recipe.toml"
        self.recipe.write_text(RECIPE)

    def build(self, cached: bool = True, die_at: str = "", **changed: Any) -> tuple[Path, list[str]]:
        self.count += 1
        out = self.folder / f"out-{self.count}"
        out.mkdir()
        stages: list[str] = []

        def tell(stage: str, done: int, total: int) -> None:
            if stage == die_at:
                raise ArgosyError("killed here")
            if stage not in stages:
                stages.append(stage)

        cache = str(self.folder / "cache") if cached else ""
        values = {"task": str(TASK), "recipe": str(self.recipe), "out": str(out), "model": "", "settings": {}, "seed": 3, "cache": cache}
        building.build(BuildRequest(**{**values, **changed}), tell)
        return out, stages


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def digests(out: Path) -> dict[str, str]:
    return {one.parent.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(out.glob("variants/*/model*"))}


@pytest.mark.parametrize("cached", [True, False])
def test_untrained_model_is_made_once(cached: bool, builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = compressing.task_model
    monkeypatch.setattr(compressing, "task_model", lambda task, seed: made.append(seed) or original(task, seed))
    builder.build(cached)
    assert made == [3]


def test_same_build_again_computes_nothing_and_gives_the_same_bundle(builder: Builder) -> None:
    first, _ = builder.build()
    second, stages = builder.build()
    assert stages == ["data", "everything, from the cache"]
    files = sorted(str(one.relative_to(first)) for one in first.rglob("*"))
    assert files == sorted(str(one.relative_to(second)) for one in second.rglob("*"))
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files if (first / name).is_file())


@pytest.mark.parametrize("extra", ["", '[[variants]]\nuse = "tflite-fp32"\n'], ids=["onnx", "onnx and tflite"])
def test_fresh_resumed_and_uncached_builds_give_the_same_bytes(builder: Builder, extra: str) -> None:
    builder.recipe.write_text(RECIPE + extra)
    fresh, _ = builder.build(cached=False)
    with pytest.raises(ArgosyError, match="killed here"):
        builder.build(die_at="export onnx-fp32")
    resumed, stages = builder.build()
    assert "finetune, from the cache" in stages and "train" not in stages
    assert digests(resumed) == digests(fresh) == digests(builder.build()[0]) and len(digests(fresh)) == 1 + bool(extra)


def test_killed_build_goes_on_after_its_last_pass_and_reshapes_again(builder: Builder) -> None:
    with pytest.raises(ArgosyError, match="killed here"):
        builder.build(die_at="finetune")
    _, stages = builder.build()
    assert stages[:5] == ["data", "train, from the cache", "prune-channels", "prune-magnitude, from the cache", "finetune"]


def test_pass_added_to_a_recipe_costs_that_pass_only(builder: Builder) -> None:
    builder.build()
    builder.recipe.write_text(RECIPE.replace("[[variants]]", '[[passes]]\nuse = "prune-magnitude"\nshare = 0.6\n[[variants]]'))
    _, stages = builder.build()
    assert "finetune, from the cache" in stages and "prune-magnitude" in stages


@pytest.mark.parametrize("changed", [{"seed": 4}, {"settings": {"slow": "0.0001"}}])
def test_other_seed_or_setting_is_another_build(builder: Builder, changed: dict[str, Any]) -> None:
    builder.build()
    assert "train" in builder.build(**changed)[1]


def test_other_machine_packages_or_sources_are_another_build(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.build()
    for name, value in (("own_sources", "others"), ("_processor", "another"), ("_distributions", ["torch 0"])):
        with monkeypatch.context() as changed:
            changed.setattr(remembering, name, lambda value=value: value)
            assert "train" in builder.build(die_at="")[1], name


def test_damaged_entries_are_computed_again(builder: Builder) -> None:
    first, _ = builder.build()
    for one in (builder.folder / "cache" / "models").iterdir():
        one.write_bytes(b"damaged")
    for one in (builder.folder / "cache" / "builds").rglob("model.onnx"):
        one.write_bytes(b"damaged")
    second, stages = builder.build()
    assert "train" in stages and digests(first) == digests(second)


def test_lineage_records_what_decides_about_the_bytes(builder: Builder) -> None:
    out, _ = builder.build()
    lineage = read_report((out / "report.json").read_bytes()).lineage
    assert {"seed", "machine", "threads", "packages", "data_sha256", "task_sha256", "recipe_sha256"} <= set(lineage)


def test_model_that_weights_do_not_tell_is_not_kept(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that sets an attribute, and does not say that it reshapes, is run again rather than half remembered."""
    from argosy_controller.pipeline.passes import PASSES

    kind = type(PASSES["prune-magnitude"])
    plain = kind.apply

    def marking(self: Any, model: Any, config: Any, ctx: Any) -> Any:
        made = plain(self, model, config, ctx)
        made.bits = 4
        return made

    monkeypatch.setattr(kind, "apply", marking)
    with pytest.raises(ArgosyError, match="killed here"):
        builder.build(die_at="export onnx-fp32")
    assert "prune-magnitude" in builder.build()[1]
