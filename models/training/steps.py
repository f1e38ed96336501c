"""One step of training as one traced function, and the optimiser that takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from models.networks.architectures import Network
from models.networks.recipes import Recipe
from models.networks.tf_runtime import keras, tf


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
    """Trace one step: uint8 images (n, h, w, 3) and float32 targets (n, k) in, the mean loss out.

    `average` follows the variables `averaged`. Unless `live`, batch normalisation keeps its statistics. A
    second opinion takes no part.
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
