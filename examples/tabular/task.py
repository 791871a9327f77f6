"""Breast cancer: 30 measurements of a cell sample say whether it is benign; scikit-learn's 569 samples, and one of seven models."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from argosy_controller.pipeline.task import Data, Split, Task

FAMILIES = {
    "svm": lambda: SVC(C=3),
    "decision-tree": lambda: DecisionTreeClassifier(),
    "random-forest": lambda: RandomForestClassifier(100),
    "naive-bayes": lambda: GaussianNB(),
    "logistic-regression": lambda: LogisticRegression(max_iter=1000),
    "mlp": lambda: MLPClassifier((64, 64), max_iter=500),
}


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
        layers, before = [], 30
        for _ in range(self.depth):
            layers += [nn.Linear(before, self.width), nn.ReLU()]
            before = self.width
        return nn.Sequential(*layers, nn.Linear(before, 2))
