"""Breast cancer: 30 measurements of a cell sample say whether it is benign; scikit-learn's 569 samples, a small MLP."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task


class BreastCancer(Task):
    name = "breast-cancer"
    outputs = ("logits",)
    labels = ("malignant", "benign")
    metric = "auc"
    epochs, learning_rate, batch_size, width, depth = 30, 1e-3, 32, 64, 2

    def data(self, seed):
        table = load_breast_cancer()
        parts = train_test_split(table.data, table.target, test_size=0.5, random_state=seed, stratify=table.target)
        scaler = StandardScaler().fit(parts[0])  # whoever asks the model must scale as here
        train, test = (scaler.transform(one).astype(np.float32) for one in parts[:2])
        return Data(train=Split({"measurements": train}, parts[2]), test=Split({"measurements": test}, parts[3]))

    def model(self, seed):
        layers, before = [], 30
        for _ in range(self.depth):
            layers += [nn.Linear(before, self.width), nn.ReLU()]
            before = self.width
        return nn.Sequential(*layers, nn.Linear(before, 2))
