"""Fine-tune a network, or its last blocks: moving average, validation after each epoch, resumable."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.write_bundle import replace
from models.data.batches import augmented, batches
from models.data.dataset import Photos
from models.data.pixel_cache import augmented_epoch, store_for
from models.networks.architectures import Network
from models.networks.recipes import Recipe
from models.networks.tf_runtime import keras, tf
from models.progress import ProgressCallback, StageProgress
from models.types import Pixels

log = logging.getLogger(__name__)

JUDGED_BY = "validation loss at the temperature that suits it best"
"""How epochs are compared; part of the fingerprint, so that other rules do not resume a checkpoint."""
_SMALL = 5 / 7  # the side, of the full one, that the first epochs train at


InputsFn = Callable[[Pixels], Any]
"""From uint8 photos (n, s, s, 3) to what the trained layers get: the photos, or outputs of frozen layers."""


def _photos(images: Pixels) -> Pixels:
    return images


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of history.csv."""

    epoch: int
    size: int  # pixels
    train_loss: float
    validation_loss: float  # at the temperature that suits it best, since calibration will choose that
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """How to fit a network. The first `small_epochs` epochs use smaller photos, at half the cost."""

    recipe: Recipe
    size: int
    frozen_statistics: (
        bool  # whether batch normalisation keeps its statistics, as a pretrained network should
    )
    seed: int

    def size_at(self, epoch: int) -> int:
        """Return the side, in pixels, of an epoch's photos, epochs counted from 0."""
        small = max(32, round(self.size * _SMALL / 32) * 32)
        return small if epoch < self.recipe.small_epochs else self.size


def optimiser(recipe: Recipe, steps: int, variables: Sequence[Any]) -> Any:
    """Build the recipe's optimiser for `variables`, with a warm-up and a cosine over `steps` in all."""
    total = max(2, steps)
    warm = max(1, int(total * recipe.warm_up))
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20, total - warm, alpha=0.01, warmup_target=recipe.learning_rate,
        warmup_steps=warm,
    )  # fmt: skip
    if recipe.optimizer == "sgd":
        chosen = keras.optimizers.SGD(
            rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay, clipnorm=5.0
        )
        chosen.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    else:
        chosen = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=5.0)
    chosen.build(variables)
    return chosen


def traced_step(
    network: Network,
    optimizer: Any,
    averaged: Sequence[Any],
    average: Sequence[Any],
    recipe: Recipe,
    *,
    live: bool,
) -> Callable[[Any, Any], Any]:
    """Trace one step: the network's inputs (n, ...) and float32 targets (n, k) in, the mean loss out.

    `average` is the moving average of the variables `averaged`. Unless `live`, batch normalisation keeps its
    statistics. The ImageNet prior is left out.
    """
    variables = network.model.trainable_variables
    one, rest = 1 - recipe.label_smoothing, recipe.label_smoothing / network.head.units

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def step(images: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            features = network.features(images, training=live)
            given = network.head(tf.nn.dropout(features, recipe.dropout))
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets * one + rest, given))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        done = tf.cast(optimizer.iterations, tf.float32)
        decay = tf.minimum(recipe.average, (1 + done) / (10 + done))
        for mean, variable in zip(average, averaged, strict=True):
            mean.assign(decay * mean + (1 - decay) * variable)
        return loss

    return step  # type: ignore[no-any-return]


def make_logits_fn(network: Network) -> Callable[[Any], Any]:
    """Trace the logits of the whole network for uint8 photos."""
    function: Callable[[Any], Any] = tf.function(
        lambda images: network.model(images, training=False), autograph=False, reduce_retracing=True
    )
    return function


def _head_logits_fn(network: Network) -> Callable[[Any], Any]:
    """Trace the logits without the ImageNet prior, which is fitted to the features after fine-tuning."""
    function: Callable[[Any], Any] = tf.function(
        lambda images: network.head(network.features(images, training=False)),
        autograph=False,
        reduce_retracing=True,
    )
    return function


def logits(
    network: Network,
    photos: Photos,
    size: int,
    clock: StageProgress | None = None,
    logits_fn: Callable[[Any], Any] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the network's logits (n, k) for photos in order."""
    logits_fn = logits_fn or make_logits_fn(network)
    rows: list[npt.NDArray[np.float32]] = []
    done = 0
    for images in batches(photos.paths, size):
        rows.append(logits_fn(images).numpy())
        done += len(images)
        if clock:
            clock(done, len(photos))
    return np.concatenate(rows)


class FineTuning:
    """Train a network with a warm-up and a cosine, and keep the best moving average by validation loss.

    One checkpoint file, written after each epoch, holds everything that the next epoch depends on; a run with
    the same `fingerprint` resumes it. Own loop: with Keras' `fit` and callbacks, losses were equal to 1e-7
    and a step took as long (ratio 1.000, 95% interval 0.993 to 1.007), in 21 lines more.
    """

    def __init__(
        self,
        network: Network,
        train: Photos,
        validation: Photos,
        schedule: Schedule,
        checkpoint: Path,
        fingerprint: str,
        inputs: InputsFn = _photos,
    ) -> None:
        self.network, self.train, self.validation, self.schedule = network, train, validation, schedule
        self.checkpoint, self.fingerprint = checkpoint, fingerprint
        self.history: list[Epoch] = []
        recipe, variables = schedule.recipe, network.model.trainable_variables
        self.steps = max(1, len(train) // recipe.batch)
        self.optimizer = optimiser(recipe, recipe.epochs * self.steps, variables)
        # Statistics belong to the weights that produced them, so they are averaged too.
        self.averaged = variables if schedule.frozen_statistics else network.model.variables
        self.average = [tf.Variable(v.numpy(), trainable=False) for v in self.averaged]
        self.best: dict[str, npt.NDArray[Any]] = {}
        self._store = None if recipe.augmentation == "photo" else store_for(train, schedule.size, recipe)
        self._inputs = inputs
        self._logits_fn = _head_logits_fn(network) if network.imagenet_prior else make_logits_fn(network)
        self._step = traced_step(
            network, self.optimizer, self.averaged, self.average, recipe, live=not schedule.frozen_statistics
        )

    def run(self, report: ProgressCallback) -> None:
        """Train, from the checkpoint where there is one, and set the network to the best weights."""
        if not self._resume():
            self._save()  # an interrupted first epoch then does not fit the head again
        epochs = self.schedule.recipe.epochs
        clock, total = StageProgress("training", report), epochs * self.steps
        for epoch in range(len(self.history), epochs):
            if self._has_stopped_improving():
                break
            began = time.monotonic()
            loss = self._train_epoch(epoch, clock)
            self._finish_epoch(epoch, loss, time.monotonic() - began)
            clock((epoch + 1) * self.steps, total, asdict(self.history[-1]))
        if self.best:
            self.network.restore(self.best)

    def _train_epoch(self, epoch: int, clock: StageProgress) -> float:
        losses: list[float] = []
        for images, targets in self._batches(epoch):
            losses.append(float(self._step(self._inputs(images), targets)))
            if len(losses) % 10 == 0:
                clock(epoch * self.steps + len(losses), self.schedule.recipe.epochs * self.steps)
        return float(np.mean(losses))

    def _batches(self, epoch: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
        schedule, recipe, photos = self.schedule, self.schedule.recipe, self.train
        size, batch = schedule.size_at(epoch), min(recipe.batch, len(photos))
        if self._store is not None:
            yield from augmented_epoch(
                photos, self._store, recipe, size, batch, seed=schedule.seed, epoch=epoch + 1
            )
            return
        targets = np.eye(len(photos.classes), dtype=np.float32)
        for images, labels in augmented(photos, size, batch, seed=schedule.seed, epoch=epoch + 1):
            yield images, targets[labels]

    def _finish_epoch(self, epoch: int, loss: float, seconds: float) -> None:
        current = [v.numpy() for v in self.averaged]
        self._assign([v.numpy() for v in self.average])
        values = logits(self.network, self.validation, self.schedule.size, logits_fn=self._validation_logits)
        labels = self.validation.labels.astype(int)
        temperature = calibration.fit_temperature(values, labels)
        validation_loss = calibration.log_loss(calibration.softmax(values, temperature), labels)
        if validation_loss <= min((e.validation_loss for e in self.history), default=np.inf):
            self.best = self.network.arrays
        accuracy = float((values.argmax(axis=1) == labels).mean())
        size = self.schedule.size_at(epoch)
        self.history.append(Epoch(epoch + 1, size, loss, validation_loss, accuracy, round(seconds, 1)))
        self._assign(current)
        self._save()
        log.info("epoch %d: train loss %.4f, validation loss %.4f, accuracy %.4f, %.0f s",
                 epoch + 1, loss, validation_loss, accuracy, seconds)  # fmt: skip

    def _validation_logits(self, images: Pixels) -> Any:
        return self._logits_fn(self._inputs(images))

    def _has_stopped_improving(self) -> bool:
        losses = [e.validation_loss for e in self.history]
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.schedule.recipe.patience

    def _assign(self, values: list[npt.NDArray[Any]]) -> None:
        for variable, value in zip(self.averaged, values, strict=True):
            variable.assign(value)

    def _state(self) -> list[Any]:
        return [*self.network.model.variables, *self.optimizer.variables, *self.average]

    def _save(self) -> None:
        about = {"fingerprint": self.fingerprint, "history": [asdict(e) for e in self.history]}
        arrays = {f"state/{i}": np.asarray(v) for i, v in enumerate(self._state())}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        replace(self.checkpoint, buffer.getvalue())

    def _resume(self) -> bool:
        if not has_checkpoint(self.checkpoint, self.fingerprint):
            return False
        with np.load(self.checkpoint, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            for index, variable in enumerate(self._state()):
                variable.assign(stored[f"state/{index}"])
            self.best = {n.removeprefix("best/"): stored[n] for n in stored.files if n.startswith("best/")}
        self.history = [Epoch(**line) for line in about["history"]]
        log.info("resuming after epoch %d of %s", len(self.history), self.checkpoint)
        return True


def has_checkpoint(checkpoint: Path, fingerprint: str) -> bool:
    """Return whether the file is a checkpoint of a run with this fingerprint."""
    if not checkpoint.exists():
        return False
    try:
        with np.load(checkpoint, allow_pickle=False) as stored:
            return bool(json.loads(stored["about"].tobytes())["fingerprint"] == fingerprint)
    except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, BadZipFile) as error:
        log.warning("%s: is no checkpoint and will be replaced: %s", checkpoint, error)
        return False
