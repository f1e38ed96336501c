"""Put a replay into a bundle that has none: `python -m scripts.add_replay BUNDLE DIR... [--exclude CSV]`.

DIR and CSV are those of the bundle's training; its weights and networks stay as they are. The photos must
fall into the same splits again, as their counts show, so that no photo of a test becomes one of training.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from models.bundle.bundle import Bundle, load, read_int8, read_weights
from models.bundle.replay import pack
from models.bundle.write_bundle import write_replay
from models.evaluation.evaluate import found_in, relabelled
from models.inference import collect_replay, outputs
from models.inference.box_crops import of_bundle
from models.inference.detector import open_detector
from models.inference.engines import answering
from models.inference.outputs import NetworkOutputs
from models.networks import architectures


def main() -> int:
    """Compute the features of a sample of the photos, and write them into the bundle."""
    parser = argparse.ArgumentParser(prog="add_replay", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--exclude", type=Path)
    options = parser.parse_args()
    bundle = answering(load(options.bundle))
    logging.disable(logging.WARNING)  # each photo that is set aside
    found = found_in(bundle, options.folders, options.exclude)
    if found.counts() != bundle.manifest.made.data:
        print(f"not the photos of its training: {found.counts()}, expected {bundle.manifest.made.data}")
        return 1
    began = time.monotonic()
    crops, temperature = of_bundle(bundle, open_detector(bundle)), bundle.calibration.temperature
    replay = collect_replay.collect(
        _outputs(bundle), crops, temperature, relabelled(found, bundle), bundle.manifest.made.seed, _show
    )
    packed = pack(replay)
    write_replay(bundle, packed, bundle.precision)
    shown = f"{len(replay):,} photos, {len(replay.features.crops):,} crops, {len(packed):,} bytes"
    print(f"{shown}, {time.monotonic() - began:.0f} s")
    return 0


def _outputs(bundle: Bundle) -> NetworkOutputs:
    if bundle.precision == "int8":
        return outputs.of_int8(read_int8(bundle), bundle.input_size)
    network = architectures.restored(bundle.architecture, len(bundle.labels), read_weights(bundle))
    return outputs.of_float32(network, bundle.input_size)


def _show(done: int, total: int) -> None:
    if done % 512 < 32 or done == total:
        print(f"\r{done:,} of {total:,}", end="\n" if done == total else "", flush=True)


if __name__ == "__main__":
    sys.exit(main())
