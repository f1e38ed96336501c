"""EfficientNet-Lite0 to 2 (Tan and Le 2019): inverted residuals with ReLU6, made to be quantised.

They are EfficientNet-B0 to B2 without squeeze-and-excitation; the widths of stem and head are not scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.networks.tf_runtime import keras
from models.types import Float32

layers: Any = keras.layers

FEATURES = 1280
_STEM = 32
_EPSILON = 1e-3  # of batch normalisation; its momentum is 0.99
_DIVISOR = 8  # widths are multiples of it


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    strides: int  # of its first block
    expansion: int
    width: int


@dataclass(frozen=True, slots=True)
class _Block:
    name: str
    kernel: int
    strides: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def backbone(width: float, depth: float) -> Callable[[Any, int], Any]:
    """Return the function that builds a backbone, images scaled by (x - 127) / 128 -> features (n, 1280).

    `width` multiplies the channels of all blocks, `depth` their number.
    """

    def build(images: Any, _: int) -> Any:
        values = _convolved(images, _STEM, "stem", kernel=3, strides=2)
        for block in _blocks(width, depth):
            values = _inverted_residual(values, block)
        values = _convolved(values, FEATURES, "top")
        return layers.GlobalAveragePooling2D(name="average")(values)

    return build


def last_of_half_size(depth: float) -> str:
    """Return the last layer before the photo is halved for the last time, to a 32nd of its side.

    Behind it are four fifths of the weights, and fewer than half of the operations.
    """
    strided = [block for block in _blocks(1.0, depth) if block.strides == 2][-1]
    return f"block{int(strided.name.removeprefix('block')) - 1}_sum"


def _blocks(width: float, depth: float) -> list[_Block]:
    shapes = [
        (stage, stage.strides if index == 0 else 1)
        for stage in _STAGES
        for index in range(_repeats(stage, depth))
    ]
    return [
        _Block(f"block{number}", stage.kernel, strides, stage.expansion, _width(stage.width, width))
        for number, (stage, strides) in enumerate(shapes)
    ]


def _repeats(stage: _Stage, depth: float) -> int:
    fixed = stage in (_STAGES[0], _STAGES[-1])
    return stage.repeats if fixed else int(np.ceil(stage.repeats * depth))


def _width(channels: int, factor: float) -> int:
    """Round the scaled number of channels to a multiple of 8, and never down by more than a tenth."""
    scaled = channels * factor
    rounded = max(_DIVISOR, int(scaled + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * scaled else rounded


def _inverted_residual(values: Any, block: _Block) -> Any:
    inner, channels = values, values.shape[-1]
    if block.expansion != 1:
        inner = _convolved(inner, block.expansion * channels, f"{block.name}_expand")
    inner = layers.DepthwiseConv2D(
        block.kernel, strides=block.strides, padding="same", use_bias=False, name=f"{block.name}_depth_conv"
    )(inner)
    inner = _normalised(inner, f"{block.name}_depth")
    inner = _convolved(inner, block.width, f"{block.name}_project", activation=False)
    if block.strides != 1 or channels != block.width:
        return inner
    return layers.Add(name=f"{block.name}_sum")([inner, values])


def _convolved(
    values: Any, width: int, name: str, *, kernel: int = 1, strides: int = 1, activation: bool = True
) -> Any:
    values = layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(values)
    return _normalised(values, name, activation=activation)


def _normalised(values: Any, name: str, *, activation: bool = True) -> Any:
    values = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_norm")(values)
    return layers.ReLU(6.0, name=f"{name}_relu")(values) if activation else values


def from_torch(tensors: Mapping[str, Float32]) -> dict[str, Float32]:
    """Return PyTorch's weights (names of the package efficientnet_lite_pytorch) by our variables' paths.

    The last layer, of ImageNet's 1,000 classes, is `predictions`.
    """
    found: dict[str, Float32] = {}
    for name, tensor in tensors.items():
        owner, _, kind = name.rpartition(".")
        if kind != "num_batches_tracked":
            layer = _layer(owner)
            found[f"{layer}/{_variable(layer, kind)}"] = _arranged(layer, tensor)
    return found


_OUTER = {
    "_conv_stem": "stem_conv", "_bn0": "stem_norm", "_conv_head": "top_conv", "_bn1": "top_norm",
    "_fc": "predictions",
}  # fmt: skip
_INNER = {
    "_expand_conv": "expand_conv", "_bn0": "expand_norm", "_depthwise_conv": "depth_conv",
    "_bn1": "depth_norm", "_project_conv": "project_conv", "_bn2": "project_norm",
}  # fmt: skip
_NORMALISATION = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip


def _layer(owner: str) -> str:
    """Return our name of a layer, such as `block3_expand_conv` of `_blocks.3._expand_conv`."""
    if owner.startswith("_blocks."):
        _, number, inner = owner.split(".")
        return f"block{number}_{_INNER[inner]}"
    return _OUTER[owner]


def _variable(layer: str, kind: str) -> str:
    return _NORMALISATION[kind] if layer.endswith("_norm") else {"weight": "kernel", "bias": "bias"}[kind]


def _arranged(layer: str, tensor: Float32) -> Float32:
    """Move axes from PyTorch's order (out, in, height, width) to Keras' (height, width, in, out)."""
    if tensor.ndim == 2:
        return tensor.T
    if tensor.ndim == 4:
        return tensor.transpose((2, 3, 0, 1) if layer.endswith("depth_conv") else (2, 3, 1, 0))
    return tensor
