"""Backbones of the networks: from normalised photos to features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.networks.tf_runtime import keras

layers: Any = keras.layers


def mobilenet_v2(images: Any, _: int) -> Any:
    """MobileNetV2 of width 1.0 (Sandler et al. 2018): 300 million multiplications at 224 pixels."""
    return keras.applications.MobileNetV2(
        input_tensor=images, include_top=False, weights=None, pooling="avg"
    ).output


def small_cnn(images: Any, _: int) -> Any:
    """A narrow residual network (He et al. 2016): 67 million multiplications at 112 pixels, 22 at 64.

    Resolution falls early and width grows late, which suits a processor without a GPU.
    """
    values = _unit(images, 24, "stem", strides=2)
    for stage, width in enumerate((32, 64, 160)):
        values = _unit(values, width, f"stage{stage}_down", strides=2)
        values = _residual(values, width, f"stage{stage}")
    return layers.GlobalAveragePooling2D(name="average")(values)


WHITENING = "whitening"


def cifar_cnn(images: Any, _: int) -> Any:
    """A network for 32 x 32: whitened patches, then three stages: 102 million multiplications.

    After Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), narrower and with residual sums.
    The first layer is set once from the training photos and never trained: see `architectures.whiten`.
    """
    values = layers.Conv2D(24, 2, use_bias=False, trainable=False, name=WHITENING)(images)
    values = layers.ReLU(name="whitening_relu")(values)
    for stage, width in enumerate((64, 160, 256)):
        values = _unit(values, width, f"stage{stage}_down", pool=True)
        values = _residual(values, width, f"stage{stage}")
    return layers.GlobalAveragePooling2D(name="average")(values)


def _residual(values: Any, width: int, stage: str) -> Any:
    inner = _unit(values, width, f"{stage}_a")
    inner = _unit(inner, width, f"{stage}_b", activation=False)
    return layers.ReLU(name=f"{stage}_relu")(layers.Add(name=f"{stage}_sum")([values, inner]))


def _unit(
    values: Any, width: int, name: str, *, strides: int = 1, pool: bool = False, activation: bool = True
) -> Any:
    convolve: Callable[[Any], Any] = layers.Conv2D(
        width, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )
    values = convolve(values)
    if pool:  # first, so that the next layers have a quarter of the work
        values = layers.MaxPooling2D(name=f"{name}_pool")(values)
    values = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(values)
    return layers.ReLU(name=f"{name}_relu")(values) if activation else values
