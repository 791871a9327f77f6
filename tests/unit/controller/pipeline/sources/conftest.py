"""A task with a model, the same without one, and its trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from argosy_controller.pipeline.task import Task

sys.path.insert(0, str(Path(__file__).parents[4] / "support"))

from trained_files import Described, Shades


@pytest.fixture
def described() -> Task:
    return Described({})


@pytest.fixture
def with_model() -> Task:
    return Shades({})


@pytest.fixture
def trained() -> Any:
    torch.manual_seed(5)
    return Shades({}).model(0).eval()


@pytest.fixture
def images(described: Task) -> torch.Tensor:
    return torch.from_numpy(described.data(0).test.inputs["image"])
