"""A model that has seen little of neither, made from the shipped one, and photos for it to learn from.

The layers of the shipped network were trained on all groups of photos of neither, so that a last layer fitted
without one group files at most 1.5% of it. So this model knows only documents as neither: no animal, no
thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load, locate, read_replay, read_weights
from models.bundle.replay import Replay, pack
from models.bundle.write_bundle import write_replay
from models.data.splits import split_of
from models.inference.box_crops import of_bundle
from models.inference.engines import answering
from models.learning import learn
from models.learning.fitting import last_layer
from models.learning.fitting.head import head_of
from models.learning.fitting.last_layer import Material
from models.learning.learn import LearnOptions
from models.learning.photos import FiledPhoto, JudgedPhoto, Known
from models.learning.record import Learnt
from models.learning.side_by_side import Model
from models.learning.version import Challenger, write_version
from tests.models.conftest import made_once

KNOWN = "documents"
SEED = 1


@dataclass(frozen=True)
class Shown:
    """A photo: its path and content."""

    path: bytes
    sha256: str

    def judged(self, label: str) -> JudgedPhoto:
        return JudgedPhoto(self.path, label, self.sha256)


def photos_in(folder: Path) -> list[Shown]:
    """Return the photos of a folder, in an order that says nothing of them."""
    found = [Shown(bytes(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in folder.iterdir()]
    unique = {photo.sha256: photo for photo in found}
    return [unique[digest] for digest in sorted(unique)]


def of_split(photos: Sequence[Shown], split: str) -> list[Shown]:
    """Return the photos that training has put there."""
    return [photo for photo in photos if split_of(bytes.fromhex(photo.sha256), SEED) == split]


@pytest.fixture(scope="session")
def knows_documents(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped model with a last layer that has seen only documents as neither."""
    return made_once(tmp_path_factory, "knows_documents", _knows_documents)


def _knows_documents(folder: Path) -> Bundle:
    shipped = answering(load(locate("cats_dogs", Path("unused"))))
    whole = read_replay(shipped)
    assert whole is not None
    base = whole.where(np.isin(np.array(whole.sources), ["", KNOWN]))
    none = base.where(np.zeros(len(base), bool))
    prior = head_of(read_weights(shipped)).prior
    material = Material(shipped.labels, 3, base, none, prior, of_bundle(shipped, None))
    fitted = last_layer.fit(material, [], SEED)
    made = Challenger(
        shipped, "knows_documents", shipped.folders, material, fitted.head,
        last_layer.calibrated(material, fitted), 0.995,
    )  # fmt: skip
    bundle = write_version(made, folder / "knows_documents", SEED)
    return answering(write_replay(bundle, pack(base), "int8"))


Learner = Callable[..., tuple[Learnt, Path]]


@pytest.fixture
def learning(knows_documents: Bundle, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Learner:
    """Return a function that learns from judged photos, and the folder of the version."""

    def run(judged: Sequence[JudgedPhoto], filed: Sequence[FiledPhoto] = ()) -> tuple[Learnt, Path]:
        out = tmp_path / "version"
        options = LearnOptions(
            knows_documents.path, "knows_documents@1", out, judged, filed, cache=tmp_path / "features.npz"
        )
        return learn.learn(options), out

    return run


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
    count = len(known)
    return Replay(known.features, np.full(count, label, np.int16), np.zeros(count, np.int8), ("",) * count)
