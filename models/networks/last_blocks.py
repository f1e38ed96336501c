"""Split a pretrained network, so that its last blocks are trained alone.

The first blocks find edges and textures, which training hardly changes, and take most of the time. They stay
as they are, so that two cores train in minutes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.errors import ArchitectureError
from models.networks.architectures import Network, known
from models.networks.tf_runtime import keras


def check(architecture: str) -> str:
    """Return the layer that the last blocks follow. Raises ArchitectureError where there is none."""
    name = known(architecture).last_blocks_after
    if name is None:
        raise ArchitectureError(f"{architecture} has no last blocks to train alone: --set blocks=all")
    return name


def split(network: Network) -> tuple[Any, Network]:
    """Return the first blocks, a keras.Model of uint8 photos, and a network of the last blocks and the head.

    Both share their weights with `network`; the ImageNet prior stays out of the second one's model.
    """
    features = network.features
    cut = features.get_layer(check(network.model.name)).output
    last = keras.Model(cut, features.output, name="features")
    values = keras.Input(cut.shape[1:], name="outputs")
    model = keras.Model(values, network.head(last(values)), name=network.model.name)
    return keras.Model(features.input, cut), replace(network, features=last, model=model, outputs=None)
