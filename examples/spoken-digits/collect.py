"""Puts the recordings of the Free Spoken Digit Dataset (DIGIT_SPEAKER_TAKE.wav) into one npz: collect.py FOLDER FILE."""

import sys
import wave
from pathlib import Path

import numpy as np


def samples(path):
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


files = sorted(Path(sys.argv[1]).glob("*_*_*.wav"))
digits, _, takes = zip(*(path.stem.split("_") for path in files), strict=True)
clips = [samples(path) for path in files]
np.savez_compressed(
    sys.argv[2],
    audio=np.concatenate(clips),
    offsets=np.cumsum([0, *map(len, clips)]),
    digit=np.array(digits, np.uint8),
    take=np.array(takes, np.uint8),
)
