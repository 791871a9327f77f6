"""How a Core ML package becomes one file with the same bytes each time: no dates, no random ids, a zip with fixed times."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f6c1d2e-2f55-5c0e-9d0b-0d6b1f5e7a10")
_PACKAGE = "model.mlpackage"


def write_package(model: Any, path: Path, folder: Path) -> None:
    """Writes coremltools' model as a zipped package.

    Args:
        folder: for scratch files.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        package = Path(scratch) / _PACKAGE
        model.save(str(package))
        _forget_when(package)
        _zip(package, path)


def opened(path: Path, folder: Path) -> Any:
    """coremltools' model of what `write_package` wrote, which reads weights out of `folder` as long as it lives."""
    import coremltools

    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return coremltools.models.MLModel(str(folder / _PACKAGE), skip_model_load=True)


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
        for one in sorted(package.rglob("*")):
            name = f"{_PACKAGE}/{one.relative_to(package).as_posix()}"
            if one.is_file():
                entry = zipfile.ZipInfo(name)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, one.read_bytes(), compresslevel=6)
            elif not any(one.iterdir()):  # a program without large weights has an empty folder for them, which the manifest names
                archive.writestr(zipfile.ZipInfo(f"{name}/"), b"")
