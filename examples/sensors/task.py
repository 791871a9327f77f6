"""Room occupancy: temperature, humidity, light and CO2, once a minute, say whether somebody is in a room; a random forest."""

import csv

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from argosy_controller.pipeline.task import Data, Split, Task

SENSORS = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")


def rows_of(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    names = ["row", *header]  # as published, the header has a name less than the rows have fields
    values = np.array([[row[names.index(one)] for one in (*SENSORS, "Occupancy")] for row in rows], dtype=np.float64)
    return Split({"sensors": values[:, :-1].astype(np.float32)}, values[:, -1].astype(np.int64))


class RoomOccupancy(Task):
    name = "room-occupancy"
    outputs = ("probabilities", "label")
    labels = ("empty", "occupied")
    settings = {"data": "folder with datatraining.txt and datatest.txt: examples/sensors/README.md says how to make it"}
    trees = 100

    def data(self, seed):
        week, test = (rows_of(self.path("data") / name) for name in ("datatraining.txt", "datatest.txt"))
        last_day = len(week) - 24 * 60  # held back as a whole: minutes that follow each other are alike
        return Data(train=week.take(slice(0, last_day)), validation=week.take(slice(last_day, None)), test=test)

    def model(self, seed):
        return RandomForestClassifier(self.trees, min_samples_leaf=5)
