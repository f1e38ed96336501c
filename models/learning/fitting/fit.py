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
    progress: CountCallback = lambda done, total: None,
) -> list[LinearHead]:
    """Fit one last layer with `outputs` outputs for each of `rows` (n,), the photos that it may see.

    `features` are (n, f), `labels` and `weights` (n,): how often a photo is drawn. As `linear_probe.fit`,
    with the same optimiser; sixteen layers together take little longer than one.
    """
    count = len(rows)
    layer = keras.layers.Dense(count * outputs, kernel_initializer="zeros")
    layer.build((None, features.shape[1]))
    optimizer = keras.optimizers.AdamW(0.003, weight_decay=0.05)
    optimizer.build(layer.trainable_variables)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(inputs: Any, truth: Any, counted: Any) -> None:
        with tf.GradientTape() as tape:
            given = tf.reshape(layer(inputs), (-1, count, outputs))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.tile(truth[:, None], (1, count)), given
            )
            used = tf.maximum(tf.reduce_sum(counted, axis=0), 1.0)
            loss = tf.reduce_sum(tf.reduce_sum(losses * counted, axis=0) / used)
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.variables), layer.variables, strict=True))

    rng, chance = np.random.default_rng(seed), weights / weights.sum()
    allowed = np.stack(rows, axis=1).astype(np.float32)
    for number in range(STEPS):
        drawn = rng.choice(len(labels), _BATCH, p=chance)
        step(tf.constant(features[drawn]), tf.constant(labels[drawn], tf.int32), tf.constant(allowed[drawn]))
        progress(number + 1, STEPS)
    kernel = layer.kernel.numpy().reshape(-1, count, outputs)
    bias = layer.bias.numpy().reshape(count, outputs)
    return [LinearHead(np.ascontiguousarray(kernel[:, i]), bias[i]) for i in range(count)]
