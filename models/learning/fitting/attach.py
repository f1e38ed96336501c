"""Replace the last layer of a network in OpenVINO's form, with runtime packages alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle.openvino_archive import Network
from models.inference import openvino_engine
from models.learning.fitting.head import Head
from models.networks.imagenet_prior import LEAST
from models.types import Float32


def with_head(network: Network, head: Head) -> Network:
    """Return the network with another last layer in float32, its outputs the logits and the features.

    The second output of `network` are the features that the layer gets. All below them stays as it is.
    """
    openvino = openvino_engine.import_openvino()
    model = openvino_engine.read(network)
    features = model.output(1).get_node().input_value(0)
    logits = _logits(openvino, features, head)
    changed = openvino.Model([logits.output(0), features], model.get_parameters(), "learnt")
    with tempfile.TemporaryDirectory(prefix="pawsort-learnt-") as folder:
        path = Path(folder) / "network.xml"
        openvino.save_model(changed, path, compress_to_fp16=False)
        return Network(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _logits(openvino: Any, features: Any, head: Head) -> Any:
    ops = openvino.opset13

    def linear(inputs: Any, kernel: Float32, bias: Float32 | None) -> Any:
        product = ops.matmul(inputs, ops.constant(kernel.astype(np.float32)), False, False)
        return product if bias is None else ops.add(product, ops.constant(bias[None].astype(np.float32)))

    given = linear(features, head.kernel, head.bias)
    if head.prior is None:
        return given
    classes = ops.softmax(linear(features, head.prior.kernel, head.prior.bias), 1)
    shares = linear(classes, head.prior.shares, None)
    return ops.add(given, ops.log(ops.add(shares, ops.constant(np.float32(LEAST)))))
