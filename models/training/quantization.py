"""Quantise a network to int8 by NNCF, for OpenVINO (Jacob et al. 2018).

Most processors multiply int8 several times as fast as float32. It is as right, where the ranges of values are
measured on photos like those of training.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.bundle.openvino_archive import Network as OpenVinoNetwork
from models.data.batches import batches
from models.data.dataset import Photos
from models.errors import need
from models.inference import openvino_engine
from models.networks.architectures import Network, freeze_outputs
from models.types import Pixels

PHOTOS = 400
"""Photos to measure the ranges of values on."""


def quantised(network: Network, photos: Photos, size: int, seed: int) -> OpenVinoNetwork:
    """Return the network in int8, its first output the logits and its second the features of the last layer.

    `photos` are those of training; PHOTOS of them, drawn by `seed`, are used. Raises PackageMissing.
    """
    openvino = openvino_engine.import_openvino()
    need("nncf", "leave out int8 with --no-int8")
    import nncf

    model = openvino_engine.convert(freeze_outputs(network, size), size)
    sample = np.random.default_rng(seed).permutation(len(photos))[:PHOTOS]
    images = [image[None] for image in _images([photos.paths[i] for i in sample], size)]
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF draws its progress there
        model = nncf.quantize(
            model,
            nncf.Dataset(images),
            subset_size=len(images),
            preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric: OpenVINO corrects no zero points
            # Half the range of weights: processors without VNNI add products up in 16 bits, which overflow.
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        )
    with tempfile.TemporaryDirectory(prefix="pawsort-int8-") as folder:
        path = Path(folder) / "network.xml"
        openvino.save_model(model, path, compress_to_fp16=True)
        return OpenVinoNetwork(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _images(paths: list[bytes], size: int) -> Iterator[Pixels]:
    for batch in batches(paths, size):
        yield from batch
