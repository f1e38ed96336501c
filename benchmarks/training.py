"""Measure photos a second of training, with decoding and augmentation, and its memory."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from benchmarks import photos
from benchmarks.apart import apart

STEPS = 8


def measure(folder: Path, count: int) -> dict[str, float]:
    """Fine-tune the shipped architecture for a few steps; a tenth of `count` photos, in turn."""
    # No photo under two labels: those would be set aside.
    for number, path in enumerate(map(os.fsdecode, photos.make(folder / "made", 2 * max(64, count // 20)))):
        os.renames(path, folder / "photos" / ("cat", "dog")[number % 2] / os.path.basename(path))
    figures: dict[str, float] = apart(steps, folder / "photos")
    return figures


def steps(folder: Path) -> dict[str, float]:
    """Return photos a second after the first step, and the greatest resident memory in MB."""
    import numpy as np

    from models.data.batches import augmented
    from models.data.dataset import scan
    from models.networks import architectures
    from models.training.fine_tuning import optimiser, traced_step

    found = scan([folder], 1)
    known = architectures.known("mobilenet_v2")
    network = architectures.build("mobilenet_v2", len(found.classes))
    variables = network.model.trainable_variables
    optimizer = optimiser(known.recipe, 1000, variables)
    step = traced_step(network, optimizer, [], [], known.recipe, live=False)
    targets = np.eye(len(found.classes), dtype=np.float32)
    done, began, epoch = 0, 0.0, 0
    while done < STEPS:
        for images, labels in augmented(found, known.input_size, known.recipe.batch, seed=1, epoch=epoch):
            float(step(images, targets[labels]))
            began, done = began or time.perf_counter(), done + bool(began)
        epoch += 1
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "training, photos/s": round(done * known.recipe.batch / seconds, 2),
        "greatest memory, MB": round(memory),
    }
