from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models.bundle import replay as replays
from models.bundle.bundle import Bundle, load, locate, read_replay
from models.bundle.replay import Features, Replay, joined, pack, unpack
from models.bundle.weights import WeightsError
from models.bundle.write_bundle import write_replay
from models.errors import BundleError


def a_replay(seed: int = 1, photos: int = 12, crops: int = 5, width: int = 7) -> Replay:
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, photos, crops)).astype(np.int32)
    features = Features(
        np.maximum(rng.normal(size=(photos, width)), 0).astype(np.float32),
        np.maximum(rng.normal(size=(crops, width)), 0).astype(np.float32),
        rows,
        rng.random(crops) < 0.5,
    )
    sources = tuple("sea" if i % 3 else "" for i in range(photos))
    return Replay(
        features,
        rng.integers(0, 3, photos).astype(np.int16),
        rng.integers(0, 3, photos).astype(np.int8),
        sources,
    )


def test_a_replay_comes_back_within_half_a_step_of_each_feature():
    made = a_replay()
    back = unpack(pack(made), 3)
    step = np.ptp(made.features.whole, axis=0) / 255
    assert (np.abs(back.features.whole - made.features.whole) <= 0.51 * step).all()
    for name in ("labels", "parts"):
        assert getattr(back, name).tolist() == getattr(made, name).tolist()
    assert back.sources == made.sources
    assert back.features.crop_rows.tolist() == made.features.crop_rows.tolist()
    assert back.features.are_boxes.tolist() == made.features.are_boxes.tolist()


def test_the_same_replay_gives_the_same_bytes():
    assert pack(a_replay()) == pack(a_replay())


def test_a_choice_of_photos_keeps_their_crops():
    made = a_replay(photos=6, crops=9)
    wanted = np.array([False, True, True, False, True, False])
    kept = made.where(wanted)
    for place, row in enumerate(np.flatnonzero(wanted)):
        own = made.features.crops[made.features.crop_rows == row]
        assert kept.features.crops[kept.features.crop_rows == place].tolist() == own.tolist()
    both = joined([made.features, kept.features])
    assert both.crop_rows[9:].tolist() == (kept.features.crop_rows + 6).tolist() and len(both) == 9


def remade(changes: dict[str, np.ndarray], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    arrays = dict(np.load(io.BytesIO(pack(a_replay()))).items()) | changes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), version=(1, 0))
            archive.writestr(f"{name}.npy", content.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.full(12, 3, np.uint16)}, "does not exist"),
        ({"parts": np.full(12, 3, np.uint8)}, "does not exist"),
        ({"sources": np.full(12, 9, np.uint16)}, "does not exist"),
        ({"crop_rows": np.array([0, 1, 2, 3, 12], np.int32)}, "does not exist"),
        ({"crop_rows": np.array([3, 2, 2, 3, 4], np.int32)}, "does not exist"),
        ({"low": np.full(7, np.nan, np.float32)}, "does not exist"),
        ({"labels": np.zeros(11, np.uint16)}, "do not fit"),
        ({"whole": np.zeros((8, 12), np.uint8)}, "do not fit"),
        ({"whole": np.zeros((7, 12), np.float64)}, "float64"),
        ({"names": np.array([{"a": 1}], dtype=object)}, "object"),
        ({"more": np.zeros(3, np.uint8)}, "expected low"),
    ],
)
def test_arrays_that_fit_no_replay_are_refused(changes: dict[str, np.ndarray], words: str):
    with pytest.raises(WeightsError, match=words):
        unpack(remade(changes), 3)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_of_which_a_little_may_fill_the_memory_are_refused(packing: int):
    with pytest.raises(WeightsError, match="any size"):
        unpack(remade({}, packing), 3)


def test_a_replay_that_unpacks_to_more_than_is_allowed_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replays, "LARGEST", 500)
    with pytest.raises(WeightsError, match="unpacks to more"):
        unpack(pack(a_replay()), 3)


@pytest.mark.parametrize("data", [b"", b"no zip", pack(a_replay())[:300]])
def test_damaged_bytes_are_refused(data: bytes):
    with pytest.raises(WeightsError):
        unpack(data, 3)


def test_a_bundle_gets_a_replay_and_keeps_its_other_files(plain_bundle: Bundle):
    assert read_replay(plain_bundle) is None
    before = {
        file.name: file.read_bytes() for file in plain_bundle.path.iterdir() if file.name != "bundle.yaml"
    }
    bundle = write_replay(plain_bundle, pack(a_replay()), "float32")
    assert len(read_replay(bundle) or ()) == 12
    assert {name: (bundle.path / name).read_bytes() for name in before} == before
    again = write_replay(bundle, pack(a_replay(2)), "float32")
    assert len(list(again.path.glob("replay-*"))) == 1


def test_one_flipped_bit_is_refused(plain_bundle: Bundle):
    bundle = write_replay(plain_bundle, pack(a_replay()), "float32")
    file = next(bundle.path.glob("replay-*"))
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    with pytest.raises(BundleError, match="not the file"):
        load(bundle.path)


def test_the_shipped_model_carries_a_replay_of_all_its_labels_and_sources():
    bundle = load(locate("cats_dogs", Path("unused")))
    replay = read_replay(bundle)
    assert replay is not None and bundle.manifest.replay is not None
    assert bundle.manifest.replay.precision == "int8" and bundle.manifest.replay.bytes < 3_000_000
    for part in replays.PARTS:
        assert set(replay.part(part).labels.tolist()) == {0, 1, 2}
    assert len(set(replay.part("train").sources)) == 16  # fifteen, and none of cats and dogs
    assert np.bincount(replay.part("train").labels).tolist() == [500, 500, 500]
