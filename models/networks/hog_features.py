"""Networks with hand-crafted features, gradients and colours, and an SVM or a random forest behind them.

They are baselines. Fitted by scikit-learn (see `models.training.sklearn_baselines`), their arrays are stored
and run like those of any other network.
"""

from __future__ import annotations

import math
from typing import Any

from models.networks.tf_runtime import keras, tf

SIZE = 64  # pixels; the side of the input
CELL = 8
BINS = 9
WAVES = 1024  # random Fourier features that stand in for an RBF kernel (Rahimi and Recht 2007)
TREES, DEPTH = 100, 10

_COLOURS = 8


class HandMade(keras.layers.Layer):  # type: ignore[misc]
    """Turn images (n, 64, 64, 3), -1 to 1, into 2,052 numbers: HOG, a thumbnail, colour histograms.

    HOG is that of Dalal and Triggs (2005): 8 x 8 cells, 9 directions without sign, blocks of 2 x 2 cells.
    """

    def call(self, images: Any) -> Any:
        """Return features, float32 (n, 2052)."""
        colours = (images + 1) / 2
        thumbnail = tf.nn.avg_pool2d(colours, CELL, CELL, "VALID")
        parts = [_gradients(colours), thumbnail, _histograms(colours)]
        return tf.concat([tf.reshape(part, (-1, math.prod(part.shape[1:]))) for part in parts], axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        """Return (n, features)."""
        blocks = SIZE // CELL - 1
        return shape[0], blocks * blocks * 4 * BINS + (SIZE // CELL) ** 2 * 3 + 4 * 3 * _COLOURS


def _gradients(colours: Any) -> Any:
    grey = tf.reduce_mean(colours, axis=-1)
    padded = tf.pad(grey, [[0, 0], [1, 1], [1, 1]], mode="SYMMETRIC")
    down, right = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1], padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    strength = tf.sqrt(down * down + right * right + 1e-12)
    turn = (
        tf.math.floormod(tf.atan2(down, right) / math.pi, 1.0) * BINS
    )  # a direction and its opposite are one
    away = tf.abs(turn[..., None] - tf.range(BINS, dtype=tf.float32))
    share = tf.nn.relu(1 - tf.minimum(away, BINS - away))
    cells = tf.nn.avg_pool2d(strength[..., None] * share, CELL, CELL, "VALID")
    blocks = tf.concat([cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]], axis=-1)
    return tf.minimum(blocks / tf.sqrt(tf.reduce_sum(blocks * blocks, -1, keepdims=True) + 1e-3), 0.2) * 5


def _histograms(colours: Any) -> Any:
    away = tf.abs(colours[..., None] * (_COLOURS - 1) - tf.range(_COLOURS, dtype=tf.float32))
    share = tf.reshape(tf.nn.relu(1 - away), (-1, SIZE, SIZE, 3 * _COLOURS))
    return tf.nn.avg_pool2d(share, SIZE // 2, SIZE // 2, "VALID")


class Waves(keras.layers.Layer):  # type: ignore[misc]
    """Random Fourier features of an RBF kernel: sqrt(2 / m) cos(x w + b)."""

    def build(self, shape: Any) -> None:
        """Make the arrays."""
        self.kernel = self.add_weight((shape[-1], WAVES), name="kernel", trainable=False)
        self.bias = self.add_weight((WAVES,), name="bias", initializer="zeros", trainable=False)

    def call(self, features: Any) -> Any:
        """Return float32 (n, WAVES)."""
        return math.sqrt(2 / WAVES) * tf.cos(tf.matmul(features, self.kernel) + self.bias)


class Forest(keras.layers.Layer):  # type: ignore[misc]
    """Decision trees as arrays, each a full binary tree: the children of node i are 2 i + 1 and 2 i + 2."""

    def __init__(self, labels: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.labels = labels

    def build(self, _: Any) -> None:
        """Make the arrays; vectors, because only those are stored in float32."""
        inner, leaves = TREES * (2**DEPTH - 1), TREES * 2**DEPTH
        self.feature = self.add_weight((inner,), name="feature", initializer="zeros", trainable=False)
        self.threshold = self.add_weight((inner,), name="threshold", initializer="zeros", trainable=False)
        self.leaf = self.add_weight((leaves, self.labels), name="leaf", initializer="ones", trainable=False)

    def call(self, features: Any) -> Any:
        """Return the log of the mean share of each label in the leaves reached, float32 (n, labels)."""
        place = tf.zeros((tf.shape(features)[0], TREES), tf.int32)
        trees = tf.range(TREES)[None]
        for _ in range(DEPTH):
            node = trees * (2**DEPTH - 1) + place
            column = tf.cast(tf.gather(self.feature, node), tf.int32)
            goes_right = tf.gather(features, column, batch_dims=1) > tf.gather(self.threshold, node)
            place = 2 * place + 1 + tf.cast(goes_right, tf.int32)
        shares = tf.gather(self.leaf, trees * 2**DEPTH + place - (2**DEPTH - 1))
        return tf.math.log(tf.reduce_mean(shares, axis=1) + 1e-3)

    def compute_output_shape(self, shape: Any) -> Any:
        """Return (n, labels)."""
        return shape[0], self.labels


def svm(images: Any, _: int) -> Any:
    """Build the features of an SVM with an RBF kernel; the head holds its hyperplanes."""
    return Waves(name="waves")(HandMade(name="hand_made")(images))


def random_forest(images: Any, labels: int) -> Any:
    """Build a random forest (Breiman 2001); the head is the identity."""
    return Forest(labels, name="forest")(HandMade(name="hand_made")(images))
