"""Fit many last layers at once to the same features, each to rows of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.networks.tf_runtime import keras, tf
from models.progress import CountCallback
from models.training.linear_probe import LinearHead
from models.types import Flags, Float32, Float64

STEPS = 600
_BATCH = 512


def fit_heads(
    features: Float32,
    labels: npt.NDArray[np.integer],
    outputs: int,
    rows: Sequence[Flags],
    weights: Float64,
    seed: int,
    start: LinearHead | None = None,
    progress: CountCallback = lambda done, total: None,
) -> list[LinearHead]:
    """Fit one last layer with `outputs` outputs for each of `rows` (n,), the photos that it may see.

    `features` are (n, f), `labels` and `weights` (n,): how often a photo is drawn. As `linear_probe.fit`,
    with the same optimiser; sixteen layers together take little longer than one. The first begins at
    `start`, which may have fewer outputs, and its weights decay to that and not to 0 (Li et al. 2018).
    """
    count = len(rows)
    layer = keras.layers.Dense(count * outputs, kernel_initializer="zeros")
    layer.build((None, features.shape[1]))
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=0.05)
    optimizer.build(layer.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(inputs: Any, truth: Any, counted: Any, begun: Any) -> None:
        with tf.GradientTape() as tape:
            given = tf.reshape(layer(inputs), (-1, count, outputs)) + begun
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.tile(truth[:, None], (1, count)), given
            )
            used = tf.maximum(tf.reduce_sum(counted, axis=0), 1.0)
            loss = tf.reduce_sum(tf.reduce_sum(losses * counted, axis=0) / used)
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.variables), layer.variables, strict=True))

    rng, chance = np.random.default_rng(seed), weights / weights.sum()
    allowed = np.stack(rows, axis=1).astype(np.float32)
    first = _widened(start, features.shape[1], outputs)
    begun = np.zeros((len(labels), count, outputs), np.float32)
    begun[:, 0] = first.logits(features)
    for number in range(STEPS):
        drawn = rng.choice(len(labels), _BATCH, p=chance)
        chosen = (features[drawn], labels[drawn].astype(np.int32), allowed[drawn], begun[drawn])
        step(*map(tf.constant, chosen))
        progress(number + 1, STEPS)
    kernel = layer.kernel.numpy().reshape(-1, count, outputs)
    bias = layer.bias.numpy().reshape(count, outputs)
    kernel[:, 0] += first.kernel
    bias[0] += first.bias
    return [LinearHead(np.ascontiguousarray(kernel[:, i]), bias[i]) for i in range(count)]


def _widened(start: LinearHead | None, inputs: int, outputs: int) -> LinearHead:
    """Return a layer with more outputs, zero where it has none."""
    kernel, bias = np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32)
    if start is not None:
        kernel[:, : len(start.bias)], bias[: len(start.bias)] = start.kernel, start.bias
    return LinearHead(kernel, bias)
