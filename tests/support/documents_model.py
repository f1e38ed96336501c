"""A model that has seen little of neither, made from the shipped one, and photos for it to learn from.

The layers of the shipped network were trained on all groups of photos of neither, so that a last layer fitted
without one group files at most 1.5% of it. So this model knows only documents as neither: no animal, no
thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle.bundle import Bundle, load, locate, read_replay, read_weights
from models.bundle.replay import Replay, pack
from models.bundle.write_bundle import write_replay
from models.inference.box_crops import of_bundle
from models.inference.engines import answering
from models.learning import learn
from models.learning.fitting import last_layer
from models.learning.fitting.head import head_of
from models.learning.fitting.last_layer import Material
from models.learning.learn import LearnOptions
from models.learning.photos import JudgedPhoto, Known
from models.learning.side_by_side import Model
from models.learning.version import Challenger, write_version

KNOWN = "documents"
NAME = "knows_documents"
SEED = 1


@dataclass(frozen=True)
class Shown:
    """A photo: its path and content."""

    path: bytes
    sha256: str

    def judged(self, label: str) -> JudgedPhoto:
        """Return it with the label that a person gave it."""
        return JudgedPhoto(self.path, label, self.sha256)


def photos_in(folder: Path) -> list[Shown]:
    """Return the photos of a folder, in an order that says nothing of them."""
    found = [photo_at(path) for path in folder.iterdir()]
    unique = {photo.sha256: photo for photo in found}
    return [unique[digest] for digest in sorted(unique)]


def photo_at(path: Path) -> Shown:
    """Return the photo of a file."""
    return Shown(bytes(path), hashlib.sha256(path.read_bytes()).hexdigest())


def knows_documents(folder: Path) -> Bundle:
    """Write the shipped model into `folder`, with a last layer that has seen only documents as neither."""
    shipped = answering(load(locate("cats_dogs", Path("unused"))))
    whole = read_replay(shipped)
    assert whole is not None
    base = whole.where(np.isin(np.array(whole.sources), ["", KNOWN]))
    none = base.where(np.zeros(len(base), bool))
    prior = head_of(read_weights(shipped)).prior
    material = Material(shipped.labels, 3, base, none, prior, of_bundle(shipped, None))
    fitted = last_layer.fit(material, [], SEED)
    made = Challenger(
        shipped, NAME, shipped.folders, material, fitted.head,
        last_layer.calibrated(material, fitted), 0.995,
    )  # fmt: skip
    bundle = write_version(made, folder / NAME, SEED)
    return answering(write_replay(bundle, pack(base), "int8"))


def features(bundle: Bundle, photos: Sequence[Shown]) -> Known:
    """Return the features of photos by the network of a bundle."""
    return learn.known_features(
        bundle,
        LearnOptions(bundle.path, "", Path("unused"), [photo.judged("") for photo in photos]),
        lambda _: None,
    )


def model_of(bundle: Bundle, target: float = 0.995) -> Model:
    """Return a bundle's last layer as it is used."""
    return Model(
        head_of(read_weights(bundle)), bundle.calibration.temperature, of_bundle(bundle, None),
        bundle.threshold(target),
    )  # fmt: skip


def as_replay(known: Known, label: int) -> Replay:
    """Return photos of one label."""
    count = len(known)
    return Replay(known.features, np.full(count, label, np.int16), np.zeros(count, np.int8), ("",) * count)
