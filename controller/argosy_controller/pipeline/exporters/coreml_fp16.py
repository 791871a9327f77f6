"""Core ML in half precision: an ML program for iOS 15 and later, as a zip of its package with fixed times and ids."""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from pathlib import Path
from uuid import UUID, uuid5

from argosy_controller.pipeline.exporters.interface import Exporter, Source
from argosy_controller.pipeline.options import Config

_NAMESPACE = UUID("6f6c1d2e-2f55-5c0e-9d0b-0d6b1f5e7a10")
_PACKAGE = "model.mlpackage"


class CoreMLFp16(Exporter[Config]):
    """By coremltools from a trace. It cannot be run here: only macOS has an engine for it."""

    format = "coreml"
    precision = "fp16"

    def export(self, source: Source, path: Path, config: Config) -> None:
        """Converts with one example's shapes; inputs and outputs are float32, the arithmetic inside is half precision."""
        import coremltools
        import torch

        example = source.example(1)
        with warnings.catch_warnings():
            # A trace keeps the one way that the example took; what the model would do for other values is lost silently.
            warnings.filterwarnings("error", message="Converting a tensor to a Python boolean")
            traced = torch.jit.trace(source.network, tuple(example.values()))  # type: ignore[no-untyped-call]
        model = coremltools.convert(
            traced,
            inputs=[coremltools.TensorType(name=name, shape=tuple(one.shape)) for name, one in example.items()],
            outputs=[coremltools.TensorType(name=name) for name in source.outputs],
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT16,
            minimum_deployment_target=coremltools.target.iOS15,
        )
        with tempfile.TemporaryDirectory(dir=source.folder) as scratch:
            package = Path(scratch) / _PACKAGE
            model.save(str(package))
            _forget_when(package)
            _zip(package, path)


def _forget_when(package: Path) -> None:
    """Takes the date out of the model, and random ids out of the manifest: the same model gives the same bytes."""
    from coremltools.proto import Model_pb2

    for file in package.rglob("*.mlmodel"):
        spec = Model_pb2.Model.FromString(file.read_bytes())
        spec.description.metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
        file.write_bytes(spec.SerializeToString(deterministic=True))
    manifest = package / "Manifest.json"
    content = json.loads(manifest.read_text())
    ids = {old: str(uuid5(_NAMESPACE, entry["path"])).upper() for old, entry in content["itemInfoEntries"].items()}
    content["itemInfoEntries"] = {ids[old]: content["itemInfoEntries"][old] for old in sorted(ids, key=ids.__getitem__)}
    content["rootModelIdentifier"] = ids[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True))


def _zip(package: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(one for one in package.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(f"{_PACKAGE}/{file.relative_to(package).as_posix()}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), compresslevel=6)
