from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from models.data import tar_archives
from models.data.dataset import read, scan
from models.errors import DatasetError
from tests.models.conftest import make_photos


def tar_of(folder: Path, path: Path, mode: str = "w", inside: str = "set") -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, inside)
    return path


def hostile(path: Path, **members: dict[str, object]) -> Path:
    """Write a tar whose members have the header fields given."""
    with tarfile.open(path, "w") as archive:
        for content, fields in members.items():
            info = tarfile.TarInfo()
            for name, value in ({"size": len(content)} | fields).items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(content.encode()))
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for level, seed in (("train", 1), ("test", 2)):
        for name in ("cat", "dog"):
            make_photos(tmp_path / "pets" / level, name, 12, seed=seed)
    return tmp_path / "pets"


@pytest.mark.parametrize(("name", "mode"), [("p.tar", "w"), ("p.tar.gz", "w:gz"), ("p.TGZ", "w:gz")])
def test_archive_is_read_as_the_folder_that_it_holds(pets: Path, tmp_path: Path, name: str, mode: str):
    path = tar_of(pets, tmp_path / name, mode)
    before = sorted(tmp_path.rglob("*"))
    packed, plain = scan([path], 1), scan([pets], 1)
    assert packed.counts() == plain.counts() and packed.classes == ("cat", "dog")
    assert sorted(map(read, packed.paths)) == sorted(map(read, plain.paths))
    assert all(p.startswith(bytes(path) + b"/set/") for p in packed.paths)
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_photos_below_test_judge_and_never_train(pets: Path):
    found = scan([pets], 1)
    assert {os.path.relpath(p, bytes(pets)).split(b"/")[0] for p in found.split("test").paths} == {b"test"}
    assert len(found.split("test")) == 24
    for split in ("train", "validation", "calibration"):
        assert not any(b"/test/" in path for path in found.split(split).paths)


@pytest.mark.parametrize("level", ["test", "val"])
def test_photo_that_is_also_kept_to_judge_does_not_train(pets: Path, level: str):
    make_photos(pets / "val", "cat", 12, seed=3)
    kept = pets / level / "cat/0.png"
    (pets / "train/cat/again.png").write_bytes(kept.read_bytes())
    found = scan([pets], 1)
    assert bytes(kept) in found.split("test" if level == "test" else "validation").paths
    assert [item.path for item in found.set_aside] == [bytes(pets / "train/cat/again.png")]


def test_classes_called_train_and_test_are_classes(tmp_path: Path):
    for name in ("train", "test"):
        make_photos(tmp_path / "vehicles", name, 10)
    assert scan([tmp_path / "vehicles"], 1).classes == ("test", "train")
    assert scan([tar_of(tmp_path / "vehicles", tmp_path / "v.tar")], 1).classes == ("test", "train")


def test_hostile_members_are_listed_and_never_read(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = hostile(
        tmp_path / "h.tar",
        good={"name": "cat/good.jpg"},
        up={"name": "cat/../../up.jpg"},
        absolute={"name": str(secret)},
        link={"name": "cat/link.jpg", "type": tarfile.SYMTYPE, "linkname": str(secret), "size": 0},
        hard={"name": "cat/hard.jpg", "type": tarfile.LNKTYPE, "linkname": "cat/good.jpg", "size": 0},
        device={"name": "cat/device.jpg", "type": tarfile.CHRTYPE, "size": 0},
        pipe={"name": "cat/pipe.jpg", "type": tarfile.FIFOTYPE, "size": 0},
    )
    archive = tar_archives.open_archive(bytes(path))
    assert set(archive.members) == {b"cat/good.jpg"} and archive.read(b"cat/good.jpg") == b"good"
    assert len(archive.refused) == 6 and all("refused" in reason for reason in archive.refused.values())
    for name in (b"cat/link.jpg", b"../secret", b"cat/../../up.jpg", bytes(secret)[1:]):
        with pytest.raises(OSError, match=r"no such"):
            read(os.path.join(bytes(path), name))


def test_refused_members_are_set_aside_with_the_reason(pets: Path, tmp_path: Path):
    path = tar_of(pets, tmp_path / "p.tar")
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("set/train/cat/passwd.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    (item,) = scan([path], 1).set_aside
    assert item.path.endswith(b"set/train/cat/passwd.jpg") and "a link" in item.reason


def test_member_that_is_too_large_for_a_photo_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_archives, "LARGEST_MEMBER", 3)
    archive = tar_archives.open_archive(bytes(hostile(tmp_path / "h.tar", large={"name": "cat/a.jpg"})))
    assert not archive.members and b"cat/a.jpg" in archive.refused


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_files_that_are_not_archives_are_refused_by_name(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"no archive" * 100)
    with pytest.raises(DatasetError, match=rf"{name}: (not readable|cannot be read)"):
        scan([tmp_path / name], 1)


@pytest.mark.parametrize("more", [0, 300, 512])
def test_archive_that_is_cut_off_is_refused(pets: Path, tmp_path: Path, more: int):
    whole = tar_of(pets, tmp_path / "p.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 1024 * 512 + more])
    with pytest.raises(DatasetError, match=r"cut\.tar"):
        scan([tmp_path / "cut.tar"], 1)


def test_small_archive_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_archives, "LARGEST_UNPACKED", 2_000_000)
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bytes(3_000_000)))
    with pytest.raises(DatasetError, match="larger than 2,000,000 bytes when unpacked"):
        scan([tmp_path / "bomb.tar.gz"], 1)


def test_archive_that_has_changed_is_read_anew(pets: Path, tmp_path: Path):
    path = tar_of(pets, tmp_path / "p.tar")
    assert len(tar_archives.open_archive(bytes(path)).members) == 48
    make_photos(pets / "train", "cat", 20, seed=9)
    tar_of(pets, path)
    assert len(tar_archives.open_archive(bytes(path)).members) == 56
