from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from models.data import batches as feeding
from models.data.batches import augmented, batches
from models.data.dataset import check_trainable, read, read_excluded, scan
from models.errors import DatasetError
from models.images.decode import decode
from tests.models.conftest import make_photos
from tests.models.data.test_near_duplicates import picture
from tests.support.pictures import noise
from tests.support.tree import deep


def test_classes_come_from_subfolders_with_neither_last(photos: Path):
    assert scan([photos / "neither", photos / "pets"], 1).classes == ("cat", "dog", "neither")


def test_nested_and_linked_folders_are_followed_and_hidden_ones_are_not(tmp_path: Path):
    make_photos(tmp_path / "far", "cat", 5)
    make_photos(tmp_path / "in", "cat/2020/may", 4, seed=1)
    make_photos(tmp_path / "in", "cat/.trash", 3, seed=2)
    make_photos(tmp_path / "in", ".git", 3, seed=3)
    (tmp_path / "in/cat/linked").symlink_to(tmp_path / "far/cat")
    (tmp_path / "in/cat/back").symlink_to(tmp_path / "in/cat")
    found = scan([tmp_path / "in"], 1)
    assert found.classes == ("cat",) and len(found) == 9
    assert set(found.sources) == {"2020", "linked"}


def test_same_photos_split_alike_wherever_they_lie(photos: Path, tmp_path: Path):
    shutil.copytree(photos / "pets/cat", tmp_path / "other/cat/deep/down")
    shutil.copytree(photos / "pets/dog", tmp_path / "other/dog")

    def splits(root: Path) -> dict[bytes, int]:
        found = scan([root], 1)
        return {read(path): int(split) for path, split in zip(found.paths, found.splits, strict=True)}

    assert splits(photos / "pets") == splits(tmp_path / "other")


def test_unreadable_and_repeated_files_are_set_aside_with_the_reason(tmp_path: Path):
    make_photos(tmp_path, "cat", 4)
    make_photos(tmp_path, "dog", 4)
    (tmp_path / "cat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    shutil.copy(tmp_path / "cat/0.png", tmp_path / "cat/copy.png")
    shutil.copy(tmp_path / "cat/1.png", tmp_path / "dog/cat_too.png")
    (tmp_path / "dog" / os.fsdecode(b"\xff.txt")).write_text("text")
    found = scan([tmp_path], 1)
    reasons = {os.path.basename(item.path): item.reason for item in found.set_aside}
    assert "not readable" in reasons.pop(b"broken.jpg") and "not readable" in reasons.pop(b"\xff.txt")
    assert "occurs before" in reasons.pop(b"copy.png")
    assert reasons.keys() == {b"1.png", b"cat_too.png"} and "cat and dog" in reasons[b"1.png"]
    assert len(found) == 3 + 4


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ({}, "no class"),
        ({"cat": 10, "dog": 0}, "'dog' is empty"),
        ({"cat": 10}, "two classes"),
        ({"cat": 10, "dog": 2}, "2 photos"),
    ],
)
def test_folder_that_cannot_be_trained_on_is_refused_by_name(
    tmp_path: Path, layout: dict[str, int], says: str
):
    for name, count in layout.items():
        make_photos(tmp_path, name, count)
    with pytest.raises(DatasetError, match=says) as refused:
        check_trainable(scan([tmp_path], 1), [tmp_path])
    assert str(tmp_path) in str(refused.value)


def test_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="nowhere"):
        scan([tmp_path / "nowhere"], 1)


def test_batches_are_decoded_as_in_the_worker_and_in_order(photos: Path):
    paths = scan([photos / "pets"], 1).paths[:10]
    seen = np.concatenate(list(batches(paths, 32, batch=4)))
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, [decode(read(path), 32) for path in paths])


def test_augmented_epochs_repeat_by_seed_and_differ_by_epoch(photos: Path):
    found = scan([photos / "pets", photos / "neither"], 1)

    def epoch(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(augmented(found, 32, 16, seed=3, epoch=number))

    first, again, second = epoch(1), epoch(1), epoch(2)
    assert all(
        np.array_equal(a, b) and np.array_equal(x, y) for (a, x), (b, y) in zip(first, again, strict=True)
    )
    assert not np.array_equal(first[0][0], second[0][0])
    assert {images.shape for images, _ in first} == {(16, 32, 32, 3)} and len(first) == len(found) // 16


def test_labels_stay_with_their_photos_when_shuffled(photos: Path):
    found = scan([photos / "pets"], 1)
    for images, labels in augmented(found, 32, 16, seed=1, epoch=1):
        redder = images[..., 0].mean(axis=(1, 2)) > images[..., 2].mean(axis=(1, 2))
        assert (redder == (labels == 0)).mean() > 0.8  # light changes and scenes leave a few in doubt


def test_a_picture_of_two_is_called_either_by_chance(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "PAIR_SHARE", 1.0)
    found = scan([photos / "pets", photos / "neither"], 1)
    order = np.random.default_rng([1, 1]).permutation(len(found))
    shown = np.concatenate([labels for _, labels in augmented(found, 32, 8, seed=1, epoch=1)])
    named = found.labels[order[: len(shown)]]
    ours = named != found.classes.index("neither")
    assert np.array_equal(shown[~ours], named[~ours])
    assert found.classes.index("neither") not in shown[ours]
    assert 0.1 < (shown != named)[ours].mean() < 0.4  # half of those whose partner is of the other class


def test_without_neither_no_photo_shows_two_animals(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeding, "pair", None)
    monkeypatch.setattr(feeding, "PAIR_SHARE", 1.0)
    assert list(augmented(scan([photos / "pets"], 1), 32, 16, seed=1, epoch=1))


def test_photo_that_vanished_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"gone.jpg: was readable before"):
        list(batches([os.fsencode(tmp_path / "gone.jpg")], 32))


def test_photo_that_vanishes_while_it_trains_is_named(tmp_path: Path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            noise(24, 24, 2 * number + (name == "cat")).save(tmp_path / name / f"{number}.png")
    found = scan([tmp_path], 1)
    (tmp_path / "dog" / "3.png").unlink()
    with pytest.raises(DatasetError, match=r"3.png: was readable before"):
        list(augmented(found, 32, 4, seed=1, epoch=1))


@pytest.mark.parametrize("level", ["closed", "closed/within"])
def test_folder_that_cannot_be_listed_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
):
    for name in ("cat/closed/within", "dog"):
        (tmp_path / name).mkdir(parents=True)
        noise(24, 24, len(name)).save(tmp_path / name / "1.png")
    noise(24, 24, 1).save(tmp_path / "cat" / "2.png")
    real, closed = os.scandir, os.fsencode(tmp_path / "cat" / level)

    def refuse(path: object) -> object:
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    set_aside = {item.path: item.reason for item in scan([tmp_path], 1).set_aside}
    assert set_aside == {closed: "cannot be read: Permission denied"}


def test_folders_of_any_depth_are_searched(tmp_path: Path):
    make_photos(tmp_path, "cat", 4)
    make_photos(tmp_path, "dog", 4, seed=1)
    (tmp_path / "dog/0.png").unlink()
    deep(tmp_path / "dog", 1500, "d", "2.png")
    try:
        found = scan([tmp_path], 1)
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "dog"], check=True)  # Python's own removal calls itself too
    assert len(found) == 8 and not found.set_aside
    assert set(found.sources) == {"", "d"}


def test_photo_whose_path_is_too_long_is_set_aside(tmp_path: Path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        noise(24, 24, ord(name[0])).save(tmp_path / name / "1.png")
    deep(tmp_path / "dog", 30, "d" * 200, "2.png")
    noise(24, 24, 9).save(tmp_path / "dog" / "3.png")
    [item] = scan([tmp_path], 1).set_aside
    assert item.reason == "cannot be read: File name too long"


def test_a_film_among_the_photos_is_set_aside_unread(tmp_path: Path):
    make_photos(tmp_path, "cat", 4)
    with open(tmp_path / "cat/film.jpg", "wb") as film:
        film.truncate(300 << 30)
    [item] = scan([tmp_path], 1).set_aside
    assert item.reason == "cannot be read: larger than a photo"


def make_views(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture(seed).save(folder / f"{seed}.png")


def test_photos_that_are_nearly_the_same_share_a_split(tmp_path: Path):
    make_views(tmp_path / "cat", range(8))
    for seed in range(8):
        picture(seed).resize((200, 200)).save(tmp_path / f"cat/again{seed}.jpg")
    found = scan([tmp_path], 1)
    splits = {os.path.basename(p): int(s) for p, s in zip(found.paths, found.splits, strict=True)}
    pairs = [(splits[b"%d.png" % i], splits[b"again%d.jpg" % i]) for i in range(8)]
    assert all(one == other for one, other in pairs) and len({one for one, _ in pairs}) > 1


def test_photos_that_are_nearly_the_same_in_two_classes_are_set_aside(tmp_path: Path):
    make_views(tmp_path / "cat", range(5))
    make_views(tmp_path / "dog", range(10, 14))
    picture(0).resize((200, 200)).save(tmp_path / "dog/as_dog.jpg")
    found = scan([tmp_path], 1)
    reasons = {os.path.basename(item.path): item.reason for item in found.set_aside}
    assert reasons.keys() == {b"0.png", b"as_dog.jpg"} and "nearly the same" in reasons[b"0.png"]
    assert len(found) == 4 + 4


def test_photos_named_as_wrong_are_set_aside(tmp_path: Path):
    make_photos(tmp_path, "cat", 4)
    digest = hashlib.sha256((tmp_path / "cat/1.png").read_bytes()).hexdigest()
    (tmp_path / "wrong.csv").write_text(f"sha256,reason\n{digest},shows a fox\n")
    found = scan([tmp_path], 1, excluded=read_excluded(tmp_path / "wrong.csv"))
    assert [(os.path.basename(i.path), i.reason) for i in found.set_aside] == [
        (b"1.png", "named as wrong: shows a fox")
    ]
    assert len(found) == 3


@pytest.mark.parametrize("content", ["name\n1.png\n", "sha256,reason\nno hex,x\n", None])
def test_a_malformed_list_of_wrong_photos_is_refused(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "wrong.csv").write_text(content)
    with pytest.raises(DatasetError, match=r"wrong\.csv: (expected a CSV|cannot be read)"):
        read_excluded(tmp_path / "wrong.csv")


def test_no_source_of_neither_is_held_out_where_all_are_to_train(tmp_path: Path):
    for number, source in enumerate(("sea", "street", "forest", "desk")):
        make_photos(tmp_path / "neither", source, 12, seed=number, colour=(number * 40, 90, 120))
    held = scan([tmp_path / "neither"], 1)
    assert set(held.held_out.values()) == {"calibration", "test"}
    mixed = scan([tmp_path / "neither"], 1, hold_out=False)
    assert mixed.held_out == {}
    assert {s for s, split in zip(mixed.sources, mixed.splits, strict=True) if split == 0} == set(
        mixed.sources
    )
