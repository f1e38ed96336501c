"""Simple programs for comparison: Keras' pipeline, and one image a call; same photos and weights."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limit import BUNDLE
from models.bundle.bundle import load, read_weights

CALLS_OF_ONE = 24
BATCH = 32


def both(paths: Sequence[bytes], target: Path) -> tuple[float, float]:
    """Return photos a second of both, which leave out the time that starting takes."""
    return keras_script(Path(os.fsdecode(paths[0])).parent), one_a_call(paths[:CALLS_OF_ONE], target)


def keras_script(folder: Path) -> float:
    """Return photos a second of `image_dataset_from_directory` and `model.predict`, without the imports.

    Left out too is tracing the model, which Keras does anew for each size of a batch.
    """
    from models.networks.tf_runtime import keras

    model, size = _model()
    for batch in {BATCH, sum(1 for _ in folder.iterdir()) % BATCH} - {0}:
        model.predict(np.zeros((batch, size, size, 3), np.float32), verbose=0)
    began = time.perf_counter()
    data = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
    )
    answers = model.predict(data, verbose=0)
    return len(answers) / (time.perf_counter() - began)


def one_a_call(paths: Sequence[bytes], target: Path) -> float:
    """Return photos a second of a loop that loads, predicts and moves one at a time, warm."""
    from models.networks.tf_runtime import keras

    model, size = _model()

    def classify(path: str) -> None:
        image = keras.utils.load_img(path, target_size=(size, size))
        answer = model.predict(keras.utils.img_to_array(image)[None], verbose=0)
        folder = target / str(answer.argmax())
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder)

    names = list(map(os.fsdecode, paths))
    classify(names[0])
    began = time.perf_counter()
    for name in names[1:]:
        classify(name)
    return (len(names) - 1) / (time.perf_counter() - began)


def _model() -> tuple[Any, int]:
    from models.networks import architectures

    bundle = load(BUNDLE)
    network = architectures.restored(bundle.architecture, len(bundle.labels), read_weights(bundle))
    return network.model, bundle.input_size
