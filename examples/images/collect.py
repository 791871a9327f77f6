"""Puts folders of JPEG files, FOLDER/train/CLASS/*.jpg and FOLDER/test/CLASS/*.jpg, into two npz: collect.py FOLDER OUT."""

import sys
from pathlib import Path

import numpy as np

source, out = Path(sys.argv[1]), Path(sys.argv[2])
for part in ("train", "test"):
    classes = sorted(path.name for path in (source / part).iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((source / part / name).glob("*.jpg"))]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    raw = [path.read_bytes() for path, _ in files]
    np.savez(
        out / f"cifar10-{part}.npz",
        jpeg=np.frombuffer(b"".join(raw), np.uint8),
        offsets=np.cumsum([0, *map(len, raw)]),
        labels=np.array([label for _, label in files], np.uint8),
    )
