"""Put a detector of cats and dogs into a bundle: `python -m scripts.make_detector FILE BUNDLE [DIR...]`.

FILE is a `detector-....zip` of another bundle, which is copied, or the network that it was made from,
`object_detection_ssd_mobilenetv2_oidv4_fp16.tflite` (SSD on MobileNetV2, trained on Open Images V4,
Apache-2.0). That is part of MediaPipe's npm package @mediapipe/objectron 0.4.1675468480: `npm pack` it; its
`objectron_solution_packed_assets.data` holds the network from byte 184 to the end, as the `..._loader.js`
beside it says. Photos below each DIR, at any depth, calibrate 8-bit arithmetic. This needs nncf
(`pip install nncf`), which nothing else needs.

The network keeps its outputs for two of its 24 classes. The decoding of boxes, which MediaPipe does outside
of it (`object_detection_oid_v4_cpu.pbtxt`, `SsdAnchorsCalculator`), becomes part of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle.bundle import load
from models.bundle.openvino_archive import Network, pack
from models.bundle.write_bundle import write_detector
from models.data.dataset import read
from models.images.decode import UnreadableImage, decode
from models.inference.openvino_engine import import_openvino

openvino = import_openvino()
from openvino import opset13 as ops  # noqa: E402 - after the telemetry is switched off
from openvino.passes import ConstantFolding, Manager  # noqa: E402

SIZE = 300  # pixels
CLASSES = 24
KEPT = {"cat": 8, "dog": 20}  # label -> place among the classes
STRIDES = (16, 32, 64, 128, 256, 512)
SMALLEST, LARGEST = 0.2, 0.95  # sides of anchors, as shares of the photo
CENTRE_SCALE, SIZE_SCALE = 10, 5  # of the network's box encodings
PHOTOS = 350  # for calibration

RULE: dict[str, Any] = {
    "labels": list(KEPT), "side": 600, "score": 0.2, "crops": 3, "margin": 0.1,
    "second_above": 0.002, "both": 0.7,
}  # fmt: skip
"""How boxes are used; chosen on one half of photos that no network was trained on."""


def main() -> int:
    """Convert and quantise, or copy, and write into the bundle."""
    parser = argparse.ArgumentParser(prog="make_detector", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folders", type=Path, nargs="*", metavar="DIR")
    options = parser.parse_args()
    if options.file.suffix == ".zip":
        packed = options.file.read_bytes()
    elif options.folders:
        network = _reduced(openvino.convert_model(options.file))
        packed = pack(_serialised(with_decoding(_quantised(network, _photos(options.folders)))))
    else:
        parser.error("expected folders of photos, for quantisation")
    bundle = write_detector(load(options.bundle), packed, RULE)
    print(bundle.manifest.detector)
    return 0


def anchors() -> np.ndarray:
    """Return the boxes that the network's outputs are relative to: x, y, width, height as shares (n, 4)."""
    scales = [*np.linspace(SMALLEST, LARGEST, len(STRIDES)), 1.0]
    found = []
    for layer, stride in enumerate(STRIDES):
        shapes = [(scales[layer], ratio) for ratio in (1, 2, 1 / 2, 3, 1 / 3)]
        shapes.append((np.sqrt(scales[layer] * scales[layer + 1]), 1))
        if layer == 0:
            shapes = [(0.1, 1), (SMALLEST, 2), (SMALLEST, 1 / 2)]
        cells = -(-SIZE // stride)
        for row, column in np.ndindex(cells, cells):
            centre = (column + 0.5) / cells, (row + 0.5) / cells
            found += [(*centre, scale * ratio**0.5, scale / ratio**0.5) for scale, ratio in shapes]
    return np.array(found, np.float32)


def _reduced(model: Any) -> Any:
    """Return the network with float32 weights, and of its class scores only those of KEPT."""
    boxes, classes = (result.input_value(0) for result in model.get_results())
    concat = classes.get_node()
    heads = [_head(concat.input_value(i).get_node()) for i in range(concat.get_input_size())]
    reduced = openvino.Model([boxes, ops.concat(heads, 1).output(0)], model.get_parameters(), "detector")
    for node in reduced.get_ordered_ops():
        if node.get_type_name() == "Convert":
            wide = ops.constant(_value(node))
            for user in node.output(0).get_target_inputs():
                user.replace_source_output(wide.output(0))
    reduced.validate_nodes_and_infer_types()
    # NNCF leaves a depthwise convolution in float32 whose weights are transposed by a node of their own.
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(reduced)
    return reduced


def _head(node: Any) -> Any:
    add = _above(node, "Add")
    convolution = _above(add, "Convolution")
    kernel, bias = (_value(end.input_value(1).get_node()) for end in (convolution, add))
    shapes = bias.size // CLASSES
    kept = [shape * CLASSES + place for shape in range(shapes) for place in KEPT.values()]
    scores = ops.convolution(
        convolution.input_value(0), ops.constant(kernel[kept]), [1, 1], [0, 0], [0, 0], [1, 1]
    )
    scores = ops.add(scores, ops.constant(bias.reshape(1, -1, 1, 1)[:, kept]))
    last = ops.transpose(scores, ops.constant([0, 2, 3, 1]))
    return ops.reshape(last, ops.constant([1, -1, len(KEPT)]), special_zero=False)


def _above(node: Any, kind: str) -> Any:
    while node.get_type_name() != kind:
        node = node.input_value(0).get_node()
    return node


def _value(node: Any) -> np.ndarray:
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return np.array(node.data).astype(np.float32)


def _quantised(model: Any, photos: list[np.ndarray]) -> Any:
    import nncf

    return nncf.quantize(
        model,
        nncf.Dataset([(photo[None] - 127.5) / np.float32(127.5) for photo in photos]),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric: OpenVINO corrects no zero points
        subset_size=len(photos),
        # 7-bit weights: processors without VNNI add products of 8 bits in 16 bits, which overflow.
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )


def with_decoding(model: Any) -> Any:
    """Return a network from uint8 (1, SIZE, SIZE, 3) to (1, n, 6): scores of KEPT, then x0, y0, x1, y1."""
    encoded, scores = (result.input_value(0) for result in model.get_results())
    place = anchors()[None]
    # The network gives y, x, height, width.
    offset, log_size = (ops.gather(encoded, ops.constant(pair), ops.constant(2)) for pair in ([1, 0], [3, 2]))
    centre = ops.add(ops.multiply(offset, ops.constant(place[..., 2:] / CENTRE_SCALE)), place[..., :2])
    half = ops.multiply(ops.exp(ops.divide(log_size, np.float32(SIZE_SCALE))), place[..., 2:] / 2)
    parts = [ops.sigmoid(scores), ops.subtract(centre, half), ops.add(centre, half)]
    whole = openvino.Model([ops.concat(parts, 2).output(0)], model.get_parameters(), "detector")
    steps = openvino.preprocess.PrePostProcessor(whole)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(127.5).scale(127.5)
    return steps.build()


def _serialised(model: Any) -> Network:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=True)
        return Network(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def _photos(folders: list[Path]) -> list[np.ndarray]:
    found = sorted(os.fsencode(path) for folder in folders for path in folder.rglob("*") if path.is_file())
    photos: list[np.ndarray] = []
    for place in np.random.default_rng(0).permutation(len(found)):
        if len(photos) == PHOTOS:
            break
        try:
            photos.append(decode(read(found[place]), SIZE))
        except UnreadableImage as error:
            print(f"left out: {os.fsdecode(found[place])}: {error}", file=sys.stderr)
    return photos


if __name__ == "__main__":
    sys.exit(main())
