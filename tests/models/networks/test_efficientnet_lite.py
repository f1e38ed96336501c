from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from models.networks import architectures, efficientnet_lite, imagenet_weights
from models.networks.architectures import Network

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


@cache
def built(name: str, labels: int = 3) -> Network:
    return architectures.build(name, labels)


def tiles(size: int) -> np.ndarray:
    """Return the picture of which PyTorch's answers were recorded."""
    corners = np.random.default_rng(5).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    places = np.arange(size) * 8 // size
    return corners[:, places][:, :, places]


@pytest.mark.parametrize(
    ("name", "size", "layers", "parameters"),
    [(LITES[0], 224, 16, 3_413_024), (LITES[1], 240, 21, 4_189_344), (LITES[2], 260, 21, 4_869_168)],
)
def test_depth_width_and_input_are_those_of_the_published_networks(
    name: str, size: int, layers: int, parameters: int
):
    features = built(name).features
    assert architectures.known(name).input_size == size
    assert sum(layer.name.endswith("_depth_conv") for layer in features.layers) == layers
    assert features.count_params() == parameters  # 4.7, 5.4 and 6.1 million with ImageNet's last layer
    assert features.output_shape == (None, 1280)


@pytest.mark.parametrize("size", [130, 224])
def test_photos_of_any_size_shrink_by_32_rounded_up(size: int):
    network = built(LITES[0])
    inner = network.features.get_layer("top_relu").output
    assert architectures.keras.Model(network.features.input, inner)(tiles(size)).shape[1:3] == (
        -(-size // 32),
        -(-size // 32),
    )


def test_pixels_are_normalised_as_the_published_weights_expect():
    normalise = built(LITES[0]).features.get_layer("normalise")
    pixels = np.array([0, 127, 255], np.uint8)
    np.testing.assert_allclose(normalise(pixels), [-127 / 128, 0, 1], atol=1e-6)


def test_activations_end_at_six_so_that_quantisation_has_a_range():
    ends = [
        layer.max_value
        for layer in built(LITES[0]).features.layers
        if isinstance(layer, architectures.keras.layers.ReLU)
    ]
    assert ends
    assert set(ends) == {6.0}


def test_every_variable_has_its_counterpart_in_the_torch_file():
    arrays = efficientnet_lite.from_torch(as_torch(built(LITES[1])))
    for variable in built(LITES[1]).features.variables:
        np.testing.assert_array_equal(arrays.pop(variable.path), variable.numpy())
    assert set(arrays) == {"predictions/kernel", "predictions/bias"}
    assert arrays["predictions/kernel"].shape == (1280, 1000)


RECORDED = {  # by PyTorch 2.13.0 and efficientnet_lite_pytorch 0.1.0, of `tiles`: the first classes' logits
    LITES[0]: [0.0926504, 0.3865477, 0.1242867, -0.3350174, -0.1227090],
    LITES[1]: [-1.1753784, -0.2602554, 0.4674487, -0.2701132, -0.0741082],
    LITES[2]: [-0.1518043, 0.3403286, -0.3962916, -0.8194438, -0.1030695],
}


@pytest.mark.parametrize("name", LITES)
def test_logits_are_those_of_the_published_network(name: str):
    try:
        weights = imagenet_weights.read(name, imagenet_weights.DOWNLOAD)
    except architectures.ArchitectureError as error:
        pytest.skip(f"not compared with the published weights: {error}")
    network = architectures.build(name, 1000)
    architectures.initialise_from_imagenet(network, imagenet_weights.DOWNLOAD, head=True)
    logits = network.model(tiles(architectures.known(name).input_size), training=False).numpy()[0]
    np.testing.assert_allclose(logits[:5], RECORDED[name], atol=1e-3)
    assert set(weights) > {variable.path for variable in network.features.variables}


def as_torch(network: Network) -> dict[str, np.ndarray]:
    """Return a network's weights under the names and in the order of axes of PyTorch."""
    layers = {
        "stem_conv": "_conv_stem", "stem_norm": "_bn0", "top_conv": "_conv_head", "top_norm": "_bn1",
        "expand_conv": "_expand_conv", "expand_norm": "_bn0", "depth_conv": "_depthwise_conv",
        "depth_norm": "_bn1", "project_conv": "_project_conv", "project_norm": "_bn2",
    }  # fmt: skip
    kinds = {
        "kernel": "weight", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    }  # fmt: skip
    found = {"_fc.weight": np.zeros((1000, 1280), np.float32), "_fc.bias": np.zeros(1000, np.float32)}
    for variable in network.features.variables:
        layer, kind = variable.path.split("/")
        block, _, inner = layer.partition("_")
        prefix = f"_blocks.{block.removeprefix('block')}." if block.startswith("block") else ""
        array = variable.numpy()
        if array.ndim == 4:
            array = array.transpose((2, 3, 0, 1) if inner == "depth_conv" else (3, 2, 0, 1))
        name = f"{prefix}{layers[inner if prefix else layer]}"
        found[f"{name}.{kinds[kind]}"] = array
        if kind == "gamma":
            found[f"{name}.num_batches_tracked"] = np.array(0)
    return found
