from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.replay import PARTS
from models.data.near_duplicates import fingerprint
from models.data.splits import split_judged
from models.errors import DatasetError
from models.inference.box_crops import CropInference
from models.inference.outputs import NetworkOutputs
from models.learning.judged import TEST, TRAIN, judged_of
from models.learning.photos import JudgedPhoto, Known, Reader, splits_of
from models.types import Float32, Pixels
from tests.models.conftest import make_photos
from tests.models.inference.test_photo_features import CORNERS

Files = list[tuple[bytes, str]]
SIZE = 16


def run(images: Pixels) -> tuple[Float32, Float32]:
    features = images.astype(np.float32).mean(axis=(1, 2)) / 255
    return features, features


def reader(cache: Path | None = None, key: str = "one") -> Reader:
    crops = CropInference(CORNERS, SIZE, 2, (0, 1))
    return Reader(NetworkOutputs("float32", SIZE, run), crops, 1.0, cache, key)


@pytest.fixture
def shown(tmp_path: Path) -> Files:
    """Paths and SHA-256 of eighty photos."""
    for name in ("cat", "dog"):
        make_photos(tmp_path, name, 40)
    paths = sorted(tmp_path.rglob("*.png"))
    return [(bytes(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def unread(done: int, total: int) -> None:
    pass


def judged(photos: Files) -> list[JudgedPhoto]:
    return [JudgedPhoto(path, "cat" if b"/cat/" in path else "dog", digest) for path, digest in photos]


def test_photos_are_split_by_content_and_a_quarter_compares(shown: Files, plain_bundle: Bundle):
    known = reader().known(shown, unread)
    found = judged_of(plain_bundle, judged(shown), known, {})
    counts = np.bincount(found.replay.parts, minlength=3) / len(found.replay)
    assert counts == pytest.approx([0.6, 0.15, 0.25], abs=0.12)
    again = judged_of(plain_bundle, judged(shown[::-1]), known, {})
    assert {row[0]: row[2] for row in found.rows()} == {row[0]: row[2] for row in again.rows()}
    for digest, _, part in found.rows():
        assert part == split_judged(bytes.fromhex(digest), plain_bundle.manifest.made.seed)


def test_photos_that_the_champion_has_learnt_from_do_not_compare(shown: Files, plain_bundle: Bundle):
    known = reader().known(shown, unread)
    first = judged_of(plain_bundle, judged(shown), known, {})
    seen = {digest: "train" if part == "test" else part for digest, _, part in first.rows()}
    second = judged_of(plain_bundle, judged(shown), known, seen)
    assert (first.replay.parts == TEST).sum() > 5 and not (second.replay.parts == TEST).any()
    assert (second.replay.parts[first.replay.parts == TEST] == TRAIN).all()
    kept = judged_of(plain_bundle, judged(shown), known, {row[0]: row[2] for row in first.rows()})
    assert kept.replay.parts.tolist() == first.replay.parts.tolist()


def test_near_duplicates_share_a_part(shown: Files):
    known = reader().known(shown, unread)
    alike = Known(
        known.features,
        known.digests,
        [fingerprint(np.eye(32, dtype=np.uint8)[..., None].repeat(3, 2) * 255)] * 80,
    )
    assert len(set(splits_of(alike, 1).tolist())) == 1 < len(set(splits_of(known, 1).tolist()))


def test_too_few_photos_are_an_error(shown: Files, plain_bundle: Bundle):
    known = reader().known(shown[:19], unread)
    with pytest.raises(DatasetError, match="19 judged photos can be used; expected at least 20"):
        judged_of(plain_bundle, judged(shown[:19]), known, {})


def test_features_are_computed_once_for_a_content_and_a_network(
    shown: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cache = tmp_path / "state" / "features.npz"
    counted: list[tuple[int, int]] = []
    first = reader(cache).known(shown[:50], lambda *counts: counted.append(counts))
    assert counted[-1] == (50, 50) and len(first) == 50
    counted.clear()
    second = reader(cache).known(shown[:50], lambda *counts: counted.append(counts))
    assert not counted
    for name in ("whole", "crops", "crop_rows", "are_boxes"):
        assert getattr(second.features, name).tolist() == getattr(first.features, name).tolist()
    assert list(second.fingerprints) == list(first.fingerprints)
    reader(cache).known(shown[40:60], lambda *counts: counted.append(counts))
    assert counted == [(20, 20)]  # ten were known
    counted.clear()
    reader(cache, "another network").known(shown[40:60], lambda *counts: counted.append(counts))
    assert counted == [(20, 20)]
    cache.write_bytes(cache.read_bytes()[:1000])
    assert len(reader(cache).known(shown[:5], unread)) == 5


def test_every_judged_photo_has_crops_and_unreadable_ones_are_named(shown: Files, tmp_path: Path):
    gone = (bytes(tmp_path / "gone.png"), "ab" * 32)
    text = tmp_path / "text.png"
    text.write_text("no photo")
    no_photo = (bytes(text), hashlib.sha256(text.read_bytes()).hexdigest())
    changed = (shown[0][0], "cd" * 32)
    known = reader().known([*shown[:5], gone, no_photo, changed], unread)
    assert len(known) == 5 and set(known.features.crop_rows.tolist()) == set(range(5))
    assert known.unreadable[gone[1]] == "No such file or directory"
    assert known.unreadable[changed[1]] == "its content has changed"
    assert known.unreadable[no_photo[1]]
    assert PARTS[TEST] == "test"
