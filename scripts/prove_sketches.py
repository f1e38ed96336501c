"""Write into a bundle whether answers in bfloat16 hold: `python -m scripts.prove_sketches BUNDLE DIR...`.

For a bundle that was trained where the processor has no bfloat16. Each DIR holds photos, at any depth.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from models.bundle.bundle import Bundle, compose, load, write
from models.bundle.manifest import Bfloat16Check
from models.training import bfloat16_check

_MOST = 5000


def main() -> int:
    """Measure on up to 5,000 of the photos, chosen by chance, and write what was found into the bundle."""
    parser = argparse.ArgumentParser(prog="prove_sketches", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--target-precision", type=float, default=0.995, help="the promise (default 0.995)")
    options = parser.parse_args()
    paths = _photos(options.folders)
    bundle = load(options.bundle)
    found = bfloat16_check.check(bundle, paths, options.target_precision, _tell)
    if found is None:
        print(
            "Nothing was proven: it takes a processor with bfloat16, and 1,000 photos that are plain.",
            file=sys.stderr,
        )
        return 1
    write_into(bundle, found)
    print(found.model_dump_json())
    return 0


def write_into(bundle: Bundle, sketches: Bfloat16Check) -> None:
    """Put it into the bundle, in the place of what stood there, and leave the rest as it is."""
    content = bundle.manifest.model_dump(exclude={"weights"}) | {"sketches": sketches.model_dump()}
    packed = (bundle.path / bundle.manifest.weights.file).read_bytes()
    write(compose(bundle.path, content, packed), packed)


def _photos(folders: list[Path]) -> list[bytes]:
    found = sorted(os.fsencode(path) for folder in folders for path in folder.rglob("*") if path.is_file())
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))[:_MOST]]


def _tell(done: int) -> None:
    print(f"\r{done} photos", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
