"""Files that belong together are handed out together, by names that were seen and never by a listing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.watch.inbox import Inbox, SettledFile
from tests.pipeline.watch.conftest import Clock, Make, stepping


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def together(make: Make, **options: object) -> tuple[Inbox, Clock]:
    return stepping(make, companions=True, **options)


def groups(files: list[SettledFile]) -> dict[bytes, tuple[bytes, ...]]:
    return {file.source: file.companions for file in files}


def test_a_photo_is_handed_out_with_what_lies_beside_it(make: Make, folder: Path) -> None:
    put(folder, "a.jpg", "a.CR2", "a.xmp", "b/a.jpg", "b/a.JPG.xmp", "c.jpg")
    inbox, clock = together(make)
    inbox.poll()
    clock.now += 2.0
    found = inbox.poll()
    assert groups(found) == {b"a.jpg": (b"a.CR2", b"a.xmp"), b"b/a.jpg": (b"a.JPG.xmp",), b"c.jpg": ()}
    for file in found:
        inbox.forget(file)
    assert inbox.status().resting == 0, "companions are forgotten with their photo"


@pytest.mark.fault(12)
def test_a_photo_waits_until_its_companions_have_settled(make: Make, folder: Path) -> None:
    put(folder, "a.jpg", "b.jpg")
    inbox, clock = together(make)
    inbox.poll()
    clock.now += 1.5
    put(folder, "a.CR2")
    inbox.rescan()
    inbox.poll()
    clock.now += 1.0
    assert groups(inbox.poll()) == {b"b.jpg": ()}
    assert inbox.status().settling == 2, "it counts as settling, so that `run --once` waits for it"
    clock.now += 1.0
    assert groups(inbox.poll()) == {b"a.jpg": (b"a.CR2",)}


@pytest.mark.parametrize("name", ["a.CR2", "a.mov", "a.xmp"])
def test_a_raw_waits_a_moment_for_its_picture(make: Make, folder: Path, name: str) -> None:
    put(folder, name)
    inbox, clock = together(make)
    inbox.poll()
    clock.now += 5.0
    assert inbox.poll() == []
    put(folder, "a.jpg")
    inbox.rescan()
    inbox.poll()
    clock.now += 2.0
    assert groups(inbox.poll()) == {b"a.jpg": (name.encode(),)}


def test_a_raw_that_has_waited_in_vain_is_handed_out_alone(make: Make, folder: Path) -> None:
    put(folder, "a.CR2", "a.xmp")
    inbox, clock = together(make)
    inbox.poll()
    clock.now += 9.0
    assert inbox.poll() == []
    assert inbox.status().settling
    clock.now += 1.0
    assert groups(inbox.poll()) == {b"a.CR2": (b"a.xmp",)}


def test_a_raw_waits_for_a_picture_that_no_scan_has_come_to_yet(make: Make, folder: Path) -> None:
    put(folder, "a.CR2")
    inbox, clock = together(make)
    inbox.poll()
    put(folder, "a.JPG")
    clock.now += 20.0
    assert inbox.poll() == []
    inbox.rescan()
    inbox.poll()
    clock.now += 2.0
    assert groups(inbox.poll()) == {b"a.JPG": (b"a.CR2",)}


def test_no_folder_is_listed_for_a_batch(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, *(f"{number}{end}" for number in range(200) for end in (".jpg", ".xmp")))
    inbox, clock = together(make)
    inbox.poll()
    clock.now += 2.0
    listings, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda *of: listings.append(of) or scandir(*of))
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("listed"))
    found = [file for _ in range(30) for file in inbox.poll(limit=16)]
    assert groups(found) == {b"%d.jpg" % number: (b"%d.xmp" % number,) for number in range(200)}
    assert len(listings) <= 1, "the scan that was due"


def test_beyond_the_capacity_no_raw_is_handed_out_while_its_picture_is_there(
    make: Make, folder: Path
) -> None:
    put(folder, *(f"{number}{end}" for number in range(30) for end in (".jpg", ".NEF")))
    inbox, clock = together(make, capacity=10)
    handed_out = 0
    for _ in range(400):
        for file in inbox.poll(limit=4):
            path = folder / os.fsdecode(file.source)
            assert path.suffix == ".jpg" or not path.with_suffix(".jpg").exists(), path
            for name in (file.source, *file.companions):
                (folder / os.fsdecode(name)).unlink()
            inbox.forget(file)
            handed_out += 1
        clock.now += 2.0
        inbox.rescan()
    assert 30 <= handed_out <= 60
    assert list(folder.iterdir()) == []


def test_without_companions_each_file_is_handed_out_alone(make: Make, folder: Path) -> None:
    put(folder, "a.jpg", "a.CR2", "a.xmp")
    inbox, clock = stepping(make)
    inbox.poll()
    clock.now += 2.0
    assert groups(inbox.poll()) == {b"a.jpg": (), b"a.CR2": (), b"a.xmp": ()}
