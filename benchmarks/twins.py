"""Measure what profiles and RAW photos cost, and whether such a photo has the answer of its twin in sRGB.

Each photo is written as PNG in sRGB, in wide spaces with and without their profile, and as DNG with and
without a preview. Without its profile a photo is answered as it was before profiles counted.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageCms

from benchmarks import photos
from benchmarks.limit import BUNDLE, LIMITS
from models.bundle.bundle import load
from models.images.colours.found import profile_in
from models.images.colours.to_srgb import conversion
from models.images.headers import read_header
from pipeline.classifier.classify_files import Classified, classify
from pipeline.classifier.image_loader import load as load_photo
from pipeline.settings.config import Settings
from tests.support.dng_files import dng
from tests.support.icc_profiles import SRGB, WIDE

_TIMED = 200
_ROUNDS = 5

Pair = tuple[Classified, Classified]


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures of `count` photos, or of all if there are fewer."""
    sources = photos.everyday(count) or photos.make(folder / "photos", count)
    kinds = _written(folder, sources)
    paths = [str(path) for found in kinds.values() for path in found]
    answers = iter(list(classify(Settings(), paths, bundle=load(BUNDLE))))
    by_kind = {kind: [next(answers) for _ in found] for kind, found in kinds.items()}
    figures = {"photos": float(len(sources))}
    for kind, found in by_kind.items():
        if kind != "sRGB":
            figures |= _agreement(kind, list(zip(by_kind["sRGB"], found, strict=True)))
    return figures | _cost(folder, sources)


def _agreement(kind: str, pairs: Sequence[Pair]) -> dict[str, float]:
    """Compare photos with their twins: the folder, the likeliest class and the probabilities."""
    scores = [(twin.scores or {}, other.scores or {}) for twin, other in pairs]
    distances = [
        max((abs(one[label] - other.get(label, 0)) for label in one), default=1.0) for one, other in scores
    ]
    return {
        f"{kind}: same folder, share": float(
            np.mean([twin.outcome == other.outcome for twin, other in pairs])
        ),
        f"{kind}: same class, share": float(
            np.mean([twin.prediction == other.prediction for twin, other in pairs])
        ),
        f"{kind}: distance of probabilities, mean": float(np.mean(distances)),
        f"{kind}: distance of probabilities, 99 of 100 below": float(np.quantile(distances, 0.99)),
    }


def _written(folder: Path, sources: Sequence[bytes]) -> dict[str, list[Path]]:
    """Write each photo in each way; return the paths by the way, in the order of the photos."""
    found: dict[str, list[Path]] = {}
    for number, source in enumerate(sources):
        with Image.open(io.BytesIO(Path(source.decode()).read_bytes())) as opened:
            image = opened.convert("RGB")
        for kind, ending, content in _ways(image):
            path = folder / kind.replace(" ", "-").replace(",", "") / f"{number}.{ending}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            found.setdefault(kind, []).append(path)
    return found


def _ways(image: Image.Image) -> Iterator[tuple[str, str, bytes]]:
    yield "sRGB", "png", _encoded(image, "PNG")
    for name, profile in WIDE.items():
        wide = _converted(image, profile)
        yield name, "png", _encoded(wide, "PNG", icc_profile=profile)
        yield f"{name}, as before", "png", _encoded(wide, "PNG")
    yield "DNG with preview", "dng", dng(image, _encoded(image, "JPEG", quality=92))
    yield "DNG, developed", "dng", dng(image.resize((2 * image.width, 2 * image.height)))


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    srgb, wide = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(image, srgb, wide, outputMode="RGB")
    assert converted is not None
    converted.info.clear()  # else the profile would be saved with it
    return converted


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# What it costs to read ordinary photos.


def _cost(folder: Path, sources: Sequence[bytes]) -> dict[str, float]:
    made = photos.make(folder / "timed", min(_TIMED, len(sources)))
    plain = [Path(path.decode()).read_bytes() for path in made]
    kinds = {"no profile": plain, "a profile of sRGB": [_told(data, SRGB) for data in plain]}
    kinds["a profile of Display P3"] = [_told(data, WIDE["Display P3"]) for data in plain]
    paths = {kind: _files(folder / kind.replace(" ", "-"), found) for kind, found in kinds.items()}
    figures = {}
    for kind, found in paths.items():
        shares = [_colour_seconds(kinds[kind]) / _seconds(found) for _ in range(_ROUNDS)]
        figures[f"colours of a photo with {kind}, of the time to read it"] = median(shares)
    return figures


def _colour_seconds(contents: Sequence[bytes]) -> float:
    """Return the seconds of processor time that finding the profiles, and converting, takes for all."""
    opened = [(data, read_header(data)) for data in contents]
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8))
    began = time.process_time()
    for data, header in opened:
        found = conversion(profile_in(header.format, data, small, header.profile), small)
        if found is not None:
            found.apply(small)
    return time.process_time() - began


def _told(data: bytes, profile: bytes) -> bytes:
    content = b"ICC_PROFILE\0\1\1" + profile
    return data[:2] + b"\xff\xe2" + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


def _files(folder: Path, contents: Sequence[bytes]) -> list[bytes]:
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return list(map(bytes, paths))


def _seconds(paths: Sequence[bytes]) -> float:
    """Return the seconds of processor time that reading all takes, as the worker reads them."""
    began = time.process_time()
    for number, path in enumerate(paths):
        load_photo((number, path), 224, LIMITS)
    return time.process_time() - began
