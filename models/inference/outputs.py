"""What a network gives for photos in one precision: logits, and the features of its last layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import calibration
from models.bundle.bundle import Precision
from models.bundle.openvino_archive import Network as OpenVinoNetwork
from models.inference import openvino_engine
from models.networks.architectures import Network, freeze_layers, freeze_outputs
from models.networks.tf_runtime import tf
from models.types import Float32, Pixels, PredictFn, Probabilities


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """A network as it is stored; `run` maps photos (n, s, s, 3) to logits (n, k) and features (n, f)."""

    precision: Precision
    size: int  # pixels
    run: Callable[[Pixels], tuple[Float32, Float32]]

    def features(self, images: Pixels) -> Float32:
        """Return what the last layer gets, (n, f)."""
        return self.run(images)[1]

    def predict_fn(self, temperature: float) -> PredictFn:
        """Return a function from photos to probabilities (n, k) at that temperature."""

        def predict(images: Pixels) -> Probabilities:
            return calibration.softmax(self.run(images)[0], temperature).astype(np.float32)

        return predict


def of_float32(network: Network, size: int) -> NetworkOutputs:
    """Return the outputs of a Keras network in float32, by OpenVINO where it is installed."""
    function = freeze_outputs(network, size)
    if openvino_engine.is_installed():
        return NetworkOutputs("float32", size, _openvino_pair(openvino_engine.convert(function, size)))

    def run(images: Pixels) -> tuple[Float32, Float32]:
        logits, features = function(tf.constant(images))
        return logits.numpy(), features.numpy()

    return NetworkOutputs("float32", size, run)


def layers_fn(layers: Any, size: int) -> Callable[[Pixels], Float32]:
    """Return a keras.Model of uint8 photos and one output as a function, by OpenVINO where installed."""
    function = freeze_layers(layers, size)
    if openvino_engine.is_installed():
        return openvino_engine.runner(openvino_engine.convert(function, size), None)

    def run(images: Pixels) -> Float32:
        values: Float32 = function(tf.constant(images))[0].numpy()
        return values

    return run


def of_int8(network: OpenVinoNetwork, size: int) -> NetworkOutputs:
    """Return the outputs of a quantised network by OpenVINO."""
    return NetworkOutputs("int8", size, _openvino_pair(openvino_engine.read(network)))


def _openvino_pair(model: Any) -> Callable[[Pixels], tuple[Float32, Float32]]:
    both = openvino_engine.runner_of_all(model, None, 2)

    def run(images: Pixels) -> tuple[Float32, Float32]:
        logits, features = both(images)
        return logits, features

    return run
