"""A classifier that goes by colour, so that figures can be tested without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from models.dataset import read
from models.evaluation import measuring
from models.images import decode


@pytest.fixture
def by_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `evaluate` answer cat for red, dog for blue and neither for green."""

    def predict(engine: object, paths: Sequence[bytes], size: int, progress: Any = None) -> np.ndarray:
        means = np.array([decode(read(path), 8).mean(axis=(0, 1)) for path in paths])
        powers = np.exp(means[:, [0, 2, 1]] / 40)  # red, blue, green: the order of the labels
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr(measuring, "open_engine", lambda *_: None)
    monkeypatch.setattr(measuring, "predict", predict)
