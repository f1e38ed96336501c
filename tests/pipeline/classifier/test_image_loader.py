"""Cuts are kept, pixels stay with their ids, and no file harms its neighbours. (Imports TensorFlow: 10 s.)"""

from __future__ import annotations

import os
import platform
import resource
import sys
import threading
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.images import headers
from models.images.decode import UnreadableImage, decode
from models.installation import install_command
from pipeline.classifier import image_loader
from pipeline.classifier.image_loader import Batches, load, read, sliced
from pipeline.settings.sections import LimitSettings
from tests.support.dng_files import dng
from tests.support.pictures import FORMATS, encode, scene

SIZE = 32
LIMITS = LimitSettings()


def picture(folder: Path, name: bytes, red: int = 0) -> bytes:
    path = os.path.join(os.fsencode(folder), name)
    with open(path, "wb") as file:
        Image.new("RGB", (48, 40), (red, 10, 200)).save(file, "PNG")
    return path


@pytest.fixture
def batches() -> Iterator[Batches]:
    batches = Batches(SIZE, LIMITS, threads=2)
    yield batches
    batches.close()


@pytest.fixture
def raw_photo(tmp_path: Path) -> bytes:
    path = tmp_path / "photo.dng"
    path.write_bytes(
        dng(scene(64, 48), encode(scene(64, 48), "JPEG", quality=95), taken="2024:05:06 07:08:09")
    )
    return os.fsencode(path)


def test_a_raw_photo_is_loaded_with_its_size_and_date(raw_photo: bytes) -> None:
    result, pixels = load((1, raw_photo), SIZE, LIMITS)
    assert pixels is not None and result.reason is None
    assert result.admitted == ("DNG", 64, 48, 1, "2024-05-06T07:08:09", "exif_original")
    twin = decode(encode(scene(64, 48), "JPEG", quality=95), SIZE)
    assert np.abs(pixels.astype(int) - twin).mean() < 1


def test_without_the_extra_a_raw_photo_is_refused_and_keeps_its_size_and_date(
    raw_photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    result, pixels = load((1, raw_photo), SIZE, LIMITS)
    assert pixels is None and result.reason == "unsupported"
    assert result.detail is not None and install_command(extra="raw") in result.detail
    assert result.admitted is not None and result.admitted.format == "DNG"


@pytest.mark.parametrize("kind", FORMATS)
def test_the_header_of_a_file_is_read_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, reads = headers._READERS[kind], []

    def counting(data: bytes) -> Any:
        reads.append(len(data))
        return reader(data)

    monkeypatch.setitem(headers._READERS, kind, counting)
    path = tmp_path / "photo"
    path.write_bytes(encode(scene(), kind))
    result, pixels = load((1, os.fsencode(path)), SIZE, LIMITS)
    assert pixels is not None and result.admitted is not None
    assert reads == [path.stat().st_size]


def test_cuts_and_order_stay_as_they_were_put(batches: Batches, tmp_path: Path) -> None:
    numbers = count(100)
    cuts = [
        [(i, picture(tmp_path, b"%d.png" % i, i)) for i in islice(numbers, size)]
        for size in (1, 3, 3, 33, 8, 1)
    ]
    for cut in cuts:
        batches.put(cut)
    batches.close()
    taken = list(batches)
    assert [batch.ids for batch in taken] == [tuple(id for id, _ in cut) for cut in cuts]
    for batch in taken:
        assert batch.images.shape == (len(batch.ids), SIZE, SIZE, 3)
        assert batch.images[:, 0, 0, 0].tolist() == list(batch.ids)  # each picture is as red as its id says


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is asked is glibc's memory")
def test_memory_of_a_photo_is_used_again_for_the_next(batches: Batches, tmp_path: Path) -> None:
    """A pipeline with a generator in it has glibc give back what is larger than 128 KB at once."""
    batches.put([(1, picture(tmp_path, b"a.png"))])
    next(iter(batches))

    def pages(times: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            bytes(b"x" * 1_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages(5)
    assert pages(20) < 20 * 200  # 1,000,000 bytes are 245 pages


def test_each_picture_has_its_brightness_and_an_unreadable_file_none(
    batches: Batches, tmp_path: Path
) -> None:
    shades = {1: (0, 0, 0), 2: (255, 255, 255), 3: (51, 102, 153)}
    for id, colour in shades.items():
        Image.new("RGB", (48, 40), colour).save(tmp_path / f"{id}.png")
    (tmp_path / "4.png").write_bytes(b"no picture")
    batches.put([(id, os.fsencode(tmp_path / f"{id}.png")) for id in (*shades, 4)])
    [batch] = islice(batches, 1)
    assert [result.brightness for result in batch.results] == [0.0, 1.0, pytest.approx(0.4), None]


def test_the_brightness_of_a_photo_is_near_the_mean_of_all_its_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (224, 224, 3), np.uint8)
    pixels[:100] //= 2  # a dark sky
    assert image_loader.brightness(pixels) == pytest.approx(pixels.mean() / 255, abs=0.015)


def test_each_file_that_was_read_is_reported(tmp_path: Path) -> None:
    told: list[int] = []
    batches = Batches(SIZE, LIMITS, threads=2, on_loaded=lambda: told.append(1))
    batches.put([(i, picture(tmp_path, b"%d.png" % i)) for i in range(5)])
    batches.close()
    assert [batch.ids for batch in batches] == [(0, 1, 2, 3, 4)]
    assert len(told) == 5


@pytest.mark.parametrize("files", [1, 7, 8, 9, 65, 1024])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_slices_are_the_whole_batch_in_order_and_busy_each_thread(files: int, threads: int) -> None:
    items = [(id, b"path") for id in range(files)]
    slices = list(sliced(items, threads))
    assert [item for part, _ in slices for item in part] == items
    assert [last for _, last in slices] == [False] * (len(slices) - 1) + [True]
    assert len(slices) >= min(files, 2 * threads)
    assert max(len(part) for part, _ in slices) <= 16


def test_an_empty_batch_is_not_passed_on(batches: Batches, tmp_path: Path) -> None:
    batches.put([])
    batches.put([(1, picture(tmp_path, b"a.png"))])
    batches.close()
    assert [batch.ids for batch in batches] == [(1,)]


@pytest.mark.fault(44)
def test_each_kind_of_bad_file_has_its_reason_and_its_neighbours_their_pixels(
    batches: Batches, tmp_path: Path
) -> None:
    good = [picture(tmp_path, name, 77) for name in (b"a.png", b"\xff\xfe.png", b"c.png")]
    whole = Path(os.fsdecode(good[0])).read_bytes()
    folder = os.fsencode(tmp_path)
    bad = [
        os.path.join(folder, name)
        for name in (b"fifo", b"link", b"folder", b"gone", b"empty", b"text", b"cut")
    ]
    os.mkfifo(bad[0])
    os.symlink(good[0], bad[1])
    os.mkdir(bad[2])
    for path, content in zip(bad[4:], (b"", b"no picture at all", whole[: len(whole) // 2]), strict=True):
        Path(os.fsdecode(path)).write_bytes(content)
    paths = [good[0], *bad[:4], good[1], *bad[4:], good[2]]
    batches.put(list(enumerate(paths)))
    [batch] = islice(batches, 1)
    reasons = dict(zip(paths, (result.reason for result in batch.results), strict=True))
    assert [reasons[path] for path in good] == [None, None, None]
    assert [reasons[path] for path in bad] == ["unreadable"] * 4 + ["empty", "not_an_image", "truncated"]
    for row, path in enumerate(paths):
        alone = load((0, path), SIZE, LIMITS)[1]
        assert np.array_equal(batch.images[row], np.zeros_like(batch.images[row]) if alone is None else alone)
    assert all(result.detail for result in batch.results if result.reason)


def test_the_next_batch_is_decoded_while_the_first_is_classified(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, decoded = picture(tmp_path, b"b.png"), threading.Event()

    def watched(item: tuple[int, bytes], size: int, limits: LimitSettings) -> object:
        if item[1] == second:
            decoded.set()
        return load(item, size, limits)

    monkeypatch.setattr(image_loader, "load", watched)
    batches.put([(1, picture(tmp_path, b"a.png"))])
    batches.put([(2, second)])
    stream = iter(batches)
    assert next(stream).ids == (1,)
    assert decoded.wait(5)


def test_the_loader_stops_at_once_when_iteration_stops(batches: Batches, tmp_path: Path) -> None:
    batches.put([(1, picture(tmp_path, b"a.png"))])
    for batch in batches:
        assert batch.ids == (1,)
        break


def test_a_lack_of_memory_ends_the_iteration(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise MemoryError("no room for pixels")

    monkeypatch.setattr(image_loader, "decode", decode)
    batches.put([(1, picture(tmp_path, b"a.png"))])
    with pytest.raises(Exception, match="MemoryError: no room for pixels"):
        next(iter(batches))


def test_an_id_may_come_again_and_nothing_of_it_is_kept(batches: Batches, tmp_path: Path) -> None:
    path = picture(tmp_path, b"a.png")
    stream = iter(batches)
    for _ in range(3):
        batches.put([(7, path)])
        assert next(stream).ids == (7,)
    assert batches._loaded == {}


def test_what_a_parser_did_not_foresee_is_corrupt_and_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise IndexError("tile\n 7")

    monkeypatch.setattr(image_loader, "decode", decode)
    result, pixels = load((0, picture(tmp_path, b"a.png")), SIZE, LIMITS)
    assert (result.reason, result.detail, pixels) == (
        "corrupt",
        "the reader failed: an internal error (tile 7)",
        None,
    )
    assert result.admitted
    assert result.admitted.format == "PNG"


def test_what_the_decoder_refuses_keeps_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise UnreadableImage("truncated", "ends early")

    monkeypatch.setattr(image_loader, "decode", decode)
    result, _ = load((0, picture(tmp_path, b"a.png")), SIZE, LIMITS)
    assert (result.reason, result.admitted and result.admitted.width) == ("truncated", 48)


def test_a_lack_of_memory_blames_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_loader, "decode", decode)
    with pytest.raises(MemoryError):
        load((0, picture(tmp_path, b"a.png")), SIZE, LIMITS)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.touch()
    os.truncate(path, 1_000_001)
    result, _ = load((0, os.fsencode(path)), SIZE, LimitSettings(file_mb=1))
    assert result.reason == "too_large"
    with pytest.raises(UnreadableImage, match="too_large: 1000001 bytes; the limit is 1 MB"):
        read(os.fsencode(path), LimitSettings(file_mb=1))
    assert read(os.fsencode(path), LimitSettings(file_mb=2)) == bytes(1_000_001)


def test_a_file_that_comes_in_parts_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = tmp_path / "photo.png", bytes(range(256)) * 20
    path.write_bytes(content)
    whole = os.read
    monkeypatch.setattr(image_loader.os, "read", lambda fd, count: whole(fd, min(count, 1000)))
    assert read(os.fsencode(path), LIMITS) == content
