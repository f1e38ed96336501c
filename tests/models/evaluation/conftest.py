"""A classifier by colour, so that figures can be tested without a network."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.data.dataset import read
from models.errors import BundleError
from models.evaluation import evaluate
from models.evaluation.report import plots
from models.images.decode import decode
from models.inference import gradcam


@pytest.fixture
def by_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `evaluate` predict cat for red, dog for blue and neither for green.

    A bundle called `blind` takes green for blue.
    """

    def predict(bundle: Bundle, answer: Any, paths: Sequence[bytes], progress: Any = None) -> np.ndarray:
        red, green, blue = np.array([decode(read(path), 8).mean(axis=(0, 1)) for path in paths]).T
        if bundle.name == "blind":
            blue, green = np.maximum(blue, green), 0 * green
        of_label = {"cat": red, "dog": blue, "neither": green, "rabbit": 0 * red}
        powers = np.exp(np.stack([of_label[label] for label in bundle.labels], axis=1) / 40)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr(evaluate, "open_engine", lambda *_: SimpleNamespace(predict=None))
    monkeypatch.setattr(evaluate, "predict", predict)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write pages without their plots, which take seconds and are tested by themselves."""
    monkeypatch.setattr(plots, "draw", lambda *_: {})
    monkeypatch.setattr(gradcam, "open_explainer", no_explainer)


def no_explainer(bundle: Bundle) -> None:
    """Raise, as for a bundle whose network cannot be explained."""
    raise BundleError("no network")
