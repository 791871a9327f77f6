"""Published compression results, measured here: each is a task and recipes in published/, built as any user builds.

Errors are on the whole held-out set, once, with the exact 95 % interval; drops are paired. Seeds are fixed. Needs the real data
sets in a folder `shared/data` beside the checkout, or in ARGOSY_SHARED_DATA.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from record import OUT, ROOT, Figure, leave, write

from argosy.protocol.card import Accuracy
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.numbers.comparison import drop, scored
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.report import Report, VariantReport, read_report
from argosy_controller.pipeline.task import checked_data, load_task

PUBLISHED = Path(__file__).parent / "published"
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("ARGOSY_SHARED_DATA") or ROOT.parent / "shared" / "data")
MNIST = {"mnist": str(DATA)}
CIFAR = {"images": str(DATA), "checkpoint": str(DATA / "models" / "resnet20-cifar10-12fca82f.th")}
SPOKEN = {"audio": str(DATA / "spoken-digits-4-speakers.npz")}
SEED = 0
KEPT = OUT / "compression-rows"


@dataclass(frozen=True)
class Built:
    """A finished build.

    Attributes:
        folder: report.json and variants/.
    """

    report: Report
    folder: Path

    def variant(self, name: str) -> VariantReport:
        """One of its variants."""
        return next(one for one in self.report.variants if one.name == name)


@dataclass(frozen=True)
class Wanted:
    """A bound in the figure's own unit: what must be reached, and what is aimed at; None asks nothing."""

    must: float | None = None
    aim: float | None = None


class Bench:
    """Builds tasks by recipes; each once. `quick` shortens every training to a sixth, to see that all runs, not how well."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self._folder = folder
        self._quick = quick
        self._built: dict[tuple[Path, str], Built] = {}
        self._shortened: list[Path] = []

    def build(self, task: Path, recipe: str, settings: dict[str, str]) -> Built:
        """A build of `task`/`recipe`.toml with its report."""
        if (task, recipe) not in self._built:
            out = self._folder / f"{task.name}-{recipe}"
            print(f"  building {task.name} by {recipe}", flush=True)
            run_build(task, self._recipe(task, recipe), out, None, settings, SEED, lambda progress: None, cache=self._folder / "cache")
            self._built[task, recipe] = Built(read_report((out / "report.json").read_bytes()), out)
        return self._built[task, recipe]

    def _recipe(self, task: Path, recipe: str) -> Path:
        given = task / f"{recipe}.toml"
        if not self._quick:
            return given
        short = task / f".{recipe}-quick.toml"  # beside the other, because a recipe's files are found from its folder
        self._shortened.append(short)
        short.write_text(shortened(given.read_text()))
        return short

    def clean(self) -> None:
        """Removes the shortened recipes."""
        for path in self._shortened:
            path.unlink(missing_ok=True)


def shortened(recipe: str) -> str:
    """A recipe with a sixth of its epochs and without goals, which so few epochs need not meet."""
    shorter = re.sub(r"^epochs = (\d+)", lambda found: f"epochs = {-(-int(found[1]) // 6)}", recipe, flags=re.MULTILINE)
    return re.sub(r"^(\[goals\]\s[^\[]*|goals = .*\n)", "", shorter, flags=re.MULTILINE)


def error_of(what: str, accuracy: Accuracy | None, wanted: Wanted) -> list[Figure]:
    """An error in per cent with its interval, against what must be and what is aimed at."""
    assert accuracy is not None
    value = 100 * (1 - accuracy.value)
    told = f"{what}: error (95 % {100 * (1 - accuracy.high):.2f} to {100 * (1 - accuracy.low):.2f})"
    return _bounded(told, value, "%", wanted)


def _bounded(told: str, value: float, unit: str, wanted: Wanted) -> list[Figure]:
    value = round(value, 4)
    bounds = [(kind, bound) for kind, bound in (("must", wanted.must), ("aim", wanted.aim)) if bound is not None]
    return [Figure(told, value, unit, kind=kind, aim=f"<= {bound:g}", met=value <= bound) for kind, bound in bounds] or [
        Figure(told, value, unit)
    ]


def fewer_weights(what: str, built: Built, times: float, kind: str) -> Figure:
    """How many times fewer parameters are not 0 than the dense network has."""
    first, last = built.report.steps[0], built.report.steps[-1]
    return Figure(f"{what}: parameters kept", last.not_zero, "", f"{first.parameters:,}", last.not_zero / first.parameters,
                  kind, f"{times:g} times fewer", first.parameters >= times * last.not_zero)  # fmt: skip


def pruned(bench: Bench, task: str, recipe: str, times: float, wanted: Wanted) -> list[Figure]:
    """A network with many weights cut."""
    built = bench.build(PUBLISHED / task, recipe, MNIST)
    what = f"{built.report.model} {recipe}"
    dense = built.report.baseline
    figures = error_of(f"{built.report.model} dense", dense.accuracy if dense else None, Wanted())
    kind = "aim" if wanted.must is None else "must"
    return [*figures, fewer_weights(what, built, times, kind), *error_of(what, built.report.variants[0].accuracy, wanted)]


def lenet_300_100(bench: Bench) -> list[Figure]:
    """Han et al. 2015: 12 times fewer weights at 1.58 % (dense 1.64 %)."""
    return [
        *pruned(bench, "lenet_300_100", "magnitude-12x", 12, Wanted(1.64, 1.58)),
        *pruned(bench, "lenet_300_100", "magnitude-20x", 20, Wanted(None, 1.58)),
    ]


def lenet5(bench: Bench) -> list[Figure]:
    """Han et al. 2015: 12 times fewer at 0.74 to 0.77 % (dense 0.80 %)."""
    return [
        *pruned(bench, "lenet5", "magnitude-12x", 12, Wanted(0.80, 0.77)),
        *pruned(bench, "lenet5", "magnitude-100x", 100, Wanted(None, 0.80)),
    ]


def snip(bench: Bench) -> list[Figure]:
    """Lee et al. 2019: LeNet-5, 98 % sparse 0.8 %, 99 % 1.1 %."""
    figures = []
    for recipe, wanted in (("snip-98", Wanted(1.1, 0.8)), ("snip-99", Wanted(None, 1.1))):
        built = bench.build(PUBLISHED / "lenet5", recipe, MNIST)
        figures += error_of(f"lenet-5 {recipe}", built.report.variants[0].accuracy, wanted)
    return figures


def binary_connect(bench: Bench) -> list[Figure]:
    """Courbariaux et al. 2015: 1.29 % deterministic, one bit a weight; 1.18 % stochastic, tested with real weights as they did."""
    signs = bench.build(PUBLISHED / "binary_mlp", "deterministic", MNIST)
    plain, packed = signs.variant("onnx-fp32"), signs.variant("onnx-packed")
    real = bench.build(PUBLISHED / "binary_mlp", "stochastic", MNIST).variant("onnx-fp32")
    return [
        *error_of("binary MLP deterministic", packed.accuracy, Wanted(1.5, 1.29)),
        Figure("binary MLP deterministic: bytes", packed.bytes, "bytes", f"{plain.bytes:,} in fp32", packed.bytes / plain.bytes),
        *error_of("binary MLP stochastic", real.accuracy, Wanted(1.5, 1.18)),
    ]


def resnet20(bench: Bench) -> list[Figure]:
    """int8 after training within 0.1 point; DepGraph (Fang et al. 2023): 2.5 times fewer MACs for about 0.3 point."""
    quantised = bench.build(PUBLISHED / "resnet20", "int8", CIFAR)
    baseline = quantised.report.baseline
    figures = error_of("ResNet-20 checkpoint", baseline.accuracy if baseline else None, Wanted())
    for name in ("onnx-int8", "tflite-int8"):
        figures += drop_of(f"ResNet-20 {name}", quantised.variant(name), Wanted(0.5, 0.1) if name == "onnx-int8" else Wanted())
    built = bench.build(PUBLISHED / "resnet20", "half-macs", CIFAR)
    first, last = built.report.steps[0].macs, built.report.steps[-1].macs
    assert first and last
    for kind, times in (("must", 2.0), ("aim", 2.5)):
        wanted = f"{times:g} times fewer"
        figures.append(Figure("ResNet-20 pruned: MACs", last, "", f"{first:,}", last / first, kind, wanted, first / last >= times))
    return [*figures, *drop_of("ResNet-20 pruned", built.variant("onnx-fp32"), Wanted(1.5, 0.3))]


def drop_of(what: str, variant: VariantReport, wanted: Wanted) -> list[Figure]:
    """A paired drop in points with its interval."""
    found = variant.drop
    assert found is not None
    told = f"{what}: drop (95 % {100 * found.low:.2f} to {100 * found.high:.2f}, {found.examples:,} examples)"
    return _bounded(told, 100 * found.value, "points", wanted)


def student(bench: Bench) -> list[Figure]:
    """A tenth of LeNet-300-100: taught by it against trained alone, from the same first weights for as many epochs."""
    alone, taught = (bench.build(PUBLISHED / "lenet_300_100", f"student-{one}", MNIST) for one in ("alone", "distilled"))
    task = load_task(PUBLISHED / "lenet_300_100", MNIST)
    test = checked_data(task, SEED).test
    metric, outputs = task.judged_by, []
    for one in (alone, taught):
        engine = open_model("onnx", one.folder / "variants" / "onnx-fp32" / "model.onnx")
        assert engine is not None
        outputs.append(scored(metric, predict(engine, test), test.targets))
    found = drop(metric, *outputs)
    better = f"better than alone by (95 % {-100 * found.high:.2f} to {-100 * found.low:.2f})"
    return [
        *error_of("student alone", alone.report.variants[0].accuracy, Wanted()),
        *error_of("student distilled", taught.report.variants[0].accuracy, Wanted()),
        Figure(f"student distilled: {better}", round(-100 * found.value, 3), "points", kind="must", aim="above 0", met=found.high < 0),
    ]


def spoken_digits(bench: Bench) -> list[Figure]:
    """MLPerf Tiny asks int8 within 1 point of fp32."""
    built = bench.build(EXAMPLES / "spoken-digits", "recipe", SPOKEN)
    return [
        figure
        for name in ("onnx-int8", "tflite-int8")
        for figure in drop_of(f"spoken digits {name}", built.variant(name), Wanted(1.0, 0.3))
    ]


#: The longest first, so that no processor waits at the end.
ROWS: dict[str, Callable[[Bench], list[Figure]]] = {
    "binary-connect": binary_connect,
    "resnet-20": resnet20,
    "snip": snip,
    "lenet-5": lenet5,
    "lenet-300-100": lenet_300_100,
    "student": student,
    "spoken-digits": spoken_digits,
}
QUICK = ("lenet-300-100", "student", "spoken-digits")


def main(wanted: Sequence[str]) -> bool:
    """Measures the rows named, else all; rows that are not named keep what was measured of them before.

    `--quick` measures a few rows with short trainings, to see that they run.
    """
    quick = "--quick" in wanted
    rows = [one for one in wanted if one != "--quick"] or (QUICK if quick else list(ROWS))
    if unknown := set(rows) - set(ROWS):
        raise SystemExit(f"there is no row {min(unknown)!r}: choose from {', '.join(ROWS)}")
    found = _measured(rows, quick)
    if quick:
        plain = [Figure(one.figure, one.value, one.unit, one.against, one.ratio) for figures in found.values() for one in figures]
        return write("compression-quick", plain)
    for row, figures in found.items():
        _keep(row, figures)
    return write("compression", [one for row in ROWS for one in _kept(row)])


def _measured(rows: Sequence[str], quick: bool) -> dict[str, list[Figure]]:
    """Each build is a process with one thread of its own, so as many rows at once as there are processors."""
    scratch = OUT / "compression-scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    bench = Bench(Path(tempfile.mkdtemp(dir=scratch)), quick)
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(rows, pool.map(lambda row: ROWS[row](bench), rows), strict=True))
    finally:
        bench.clean()
        shutil.rmtree(scratch, ignore_errors=True)


def _keep(row: str, figures: Sequence[Figure]) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{row}.json").write_text(json.dumps([asdict(one) for one in figures], indent=1) + "\n")


def _kept(row: str) -> list[Figure]:
    """What was measured of a row when it ran last; nothing where it never did."""
    file = KEPT / f"{row}.json"
    return [Figure(**one) for one in json.loads(file.read_text())] if file.exists() else []


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
