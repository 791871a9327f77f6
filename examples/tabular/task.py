"""Breast cancer: 30 measurements of a cell sample say whether it is benign; scikit-learn's 569 samples, and one of seven models."""

import numpy as np
from families import FAMILIES
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class BreastCancer(Task):
    name = "breast-cancer"
    labels = ("malignant", "benign")
    metric = "auc"
    family = "network"  # or one of FAMILIES: a recipe's [task] table says which, or a search
    epochs, learning_rate, batch_size, width, depth = 30, 1e-3, 32, 64, 2

    @property
    def outputs(self):
        return ("logits",) if self.family == "network" else ("scores", "label")

    def data(self, seed):
        table = load_breast_cancer()
        parts = train_test_split(table.data, table.target, test_size=0.5, random_state=seed, stratify=table.target)
        scaler = StandardScaler().fit(parts[0])  # whoever asks the network must scale as here; the others scale by themselves
        scaled = scaler.transform if self.family == "network" else lambda one: one
        train, test = (Split({"measurements": scaled(x).astype(np.float32)}, y) for x, y in (parts[::2], parts[1::2]))
        return Data(train=train.take(slice(80, None)), validation=train.take(slice(0, 80)), test=test)

    def model(self, seed):
        if self.family != "network":
            return make_pipeline(StandardScaler(), FAMILIES[self.family]())
        sizes = [30] + [self.width] * self.depth
        hidden = [layer for size in sizes[:-1] for layer in (nn.Linear(size, self.width), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(sizes[-1], 2))
