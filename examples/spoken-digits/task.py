"""Spoken digits: a second of sound at 8 kHz as log-mel features, and a small network of 1-D convolutions over time."""

import numpy as np
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task

RATE, WINDOW, HOP, MELS = 8000, 256, 128, 40
EDGES = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 1400), MELS + 2) / 2595) - 1)  # Hz, even steps of mel
BINS, WIDTHS = np.fft.rfftfreq(WINDOW, 1 / RATE), np.diff(EDGES)[:, None]
FILTERS = np.maximum(0, np.minimum((BINS - EDGES[:-2, None]) / WIDTHS[:-1], (EDGES[2:, None] - BINS) / WIDTHS[1:]))


def log_mel(clip):
    second = np.pad(clip[:RATE], (0, RATE - len(clip[:RATE]))) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(second, WINDOW)[::HOP] * np.hanning(WINDOW)
    return np.log(FILTERS @ np.abs(np.fft.rfft(frames)).T ** 2 + 1e-4).astype(np.float32)


class SpokenDigits(Task):
    name = "spoken-digits"
    outputs = ("logits",)
    settings = {"audio": "npz file with audio, offsets, digit and take: examples/spoken-digits/README.md says how to make it"}
    epochs, learning_rate, width, depth = 20, 3e-3, 48, 3

    def data(self, seed):
        with np.load(self.path("audio"), allow_pickle=False) as file:
            clips, digits, takes = np.split(file["audio"], file["offsets"][1:-1]), file["digit"].astype(np.int64), file["take"]
        sounds = Split({"sound": np.stack([log_mel(clip) for clip in clips])}, digits)
        train = np.random.default_rng(seed).permutation(np.flatnonzero(takes > 4))
        return Data(train=sounds.take(train), test=sounds.take(takes <= 4))  # takes 0 to 4: the data set's own test part

    def model(self, seed):
        layers = [nn.BatchNorm1d(MELS)]
        for i in range(self.depth):
            layers += [nn.Conv1d(self.width if i else MELS, self.width, 5, 2, 2), nn.BatchNorm1d(self.width), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(self.width, 10))
