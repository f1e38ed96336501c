"""The main job as a user sees it: a real worker, the shipped model, real files."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import sqlite3
import struct
import zlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import SHARED_DATA
from tests.end_to_end.conftest import Command, CommandInstallation, free_port, picture
from tests.end_to_end.pages import Pages
from tests.support.oracle import conserved, files_below

pytestmark = pytest.mark.timeout(800)


def png_bomb(side: int = 20_000) -> bytes:
    """A valid PNG of side x side pixels in some 48 KB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(b"\0" * (1 + side // 8)) for _ in range(side)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def folders(pawsort: CommandInstallation) -> Counter[str]:
    top = os.fsencode(pawsort.settings.sorted)
    places = (os.fsdecode(os.path.relpath(path, top)) for path in files_below(pawsort.settings.sorted))
    return Counter(place.split("/")[0] for place in places)


def everything_agrees(pawsort: CommandInstallation) -> None:
    """Folders, `results`, `query`, `status`, and both CSV files tell the same."""
    by = pawsort.ask
    there = folders(pawsort)
    with sqlite3.connect(pawsort.settings.state / "pawsort.db") as database:
        rows = dict(database.execute("SELECT outcome, count(*) FROM results GROUP BY 1"))
    assert rows == there
    assert Counter(row["outcome"] for row in pawsort.json("query", by=by)) == there
    status = pawsort.json("status", by=by)
    assert +Counter(status["counts"]) == there
    assert status["total"] == len(pawsort.injected)
    assert by("report").returncode == 0
    with open(pawsort.settings.reports / "latest-images.csv", encoding="utf-8", newline="") as file:
        assert Counter(row["outcome"] for row in csv.DictReader(file)) == there
    with open(pawsort.settings.reports / "latest-summary.csv", encoding="utf-8", newline="") as file:
        summary = list(csv.DictReader(file))
    assert +Counter({row["outcome"]: int(row["images"]) for row in summary}) == there
    doctor = by("doctor", "--hashes")
    assert doctor.returncode == 0, doctor.stdout


def table_and_csv_show_the_same(rows: list[dict[str, str]], by: Command) -> None:
    table = by("query").stdout.splitlines()
    cells = list(csv.DictReader(io.StringIO(by("query", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [int(cell["id"]) for cell in cells]
    assert len(table) == 1 + len(rows)


@pytest.mark.fault(24, 25, 32, 33, 42, 43, 45, 76)
def test_files_dropped_while_it_runs_and_hostile_ones_among_them(
    pawsort: CommandInstallation, tmp_path: Path
) -> None:
    worker = pawsort.start()
    pawsort.wait(lambda: "drop photos into" in pawsort.log, "the worker to watch")
    a_second_worker_is_refused_with_the_name_of_the_first(pawsort, worker.pid)
    for seed in range(20):
        pawsort.drop(f"{seed % 3}/deep/{seed}.jpg", picture(seed))
    pawsort.drop("again.jpg", picture(0))
    pawsort.drop("cut.jpg", picture(100)[:-400])
    pawsort.drop("text.jpg", b"dear diary")
    pawsort.drop("empty.jpg", b"")
    pawsort.drop("bomb.png", png_bomb())
    pawsort.drop(b"\xff\xfe not utf-8.jpg", picture(101))
    os.mkfifo(pawsort.inbox / "pipe.jpg")
    (tmp_path / "outside.jpg").write_bytes(picture(102))
    (pawsort.inbox / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    pawsort.wait_until_filed(len(pawsort.injected))
    assert pawsort.stop(worker) == 128 + signal.SIGTERM

    reasons = {
        row["name"]: row["reason"] for row in pawsort.json("query", "--outcome", "failed", by=pawsort.ask)
    }
    assert reasons == {
        "cut.jpg": "truncated",
        "text.jpg": "not_an_image",
        "empty.jpg": "empty",
        "bomb.png": "too_many_pixels",
    }
    assert sorted(path.name for path in pawsort.inbox.iterdir() if not path.is_dir()) == [
        "link.jpg",
        "pipe.jpg",
    ]
    assert pawsort.log.count("pipe.jpg") == pawsort.log.count("link.jpg") == 1
    conserved(pawsort.settings, pawsort.injected)
    everything_agrees(pawsort)


def a_second_worker_is_refused_with_the_name_of_the_first(pawsort: CommandInstallation, first: int) -> None:
    second = pawsort.command("--once")
    assert second.returncode == 5
    assert str(first) in second.stderr
    assert pawsort.json("status")["pid"] == first


def test_a_dry_run_says_what_it_would_do_and_does_nothing(pawsort: CommandInstallation) -> None:
    pawsort.drop("x.jpg", picture(1))
    done = pawsort.command("run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert str(pawsort.inbox / "x.jpg") in done.stdout
    assert str(pawsort.settings.sorted) in done.stdout
    assert sorted(path.name for path in pawsort.folder.iterdir()) == ["config.yaml", "inbox"]


def test_classify_keeps_order_and_paths_as_given(pawsort: CommandInstallation) -> None:
    if find_spec("openvino"):
        pawsort.config.write_text("engine: openvino\n", encoding="utf-8")  # the others answer in int8
    pawsort.drop("good.jpg", picture(1))
    pawsort.drop("bad.jpg", b"no picture")
    done = pawsort.command("classify", "inbox/good.jpg", "inbox", "--json", cwd=pawsort.folder)
    assert done.returncode == 1, done.stderr
    rows = json.loads(done.stdout)
    assert [row["path"] for row in rows] == ["inbox/good.jpg", "inbox/bad.jpg", "inbox/good.jpg"]
    assert list(rows[0]) == [
        "path", "prediction", "confidence", "outcome", "reason", "scores", "shown", "shown_probability",
    ]  # fmt: skip
    assert (rows[1]["outcome"], rows[1]["reason"]) == ("failed", "not_an_image")
    # The same photo at another place of a batch may differ in the last bit of a float32.
    assert rows[0].pop("scores") == pytest.approx(rows[2].pop("scores"), abs=1e-6)
    assert rows[0].pop("confidence") == pytest.approx(rows[2].pop("confidence"), abs=1e-6)
    assert rows[0].pop("shown_probability") == pytest.approx(rows[2].pop("shown_probability"), abs=1e-6)
    assert rows[0] == rows[2]


@pytest.fixture
def photos() -> dict[str, bytes]:
    """400 photos of cats and dogs, squashed and of their own shape, and 100 of neither, by name.

    Where there are none on this machine, made pictures; what they are called is then not to be expected.
    """
    chance = random.Random(7)
    chosen: dict[str, bytes] = {}
    for pattern, count in [("cats_dogs/*/k_*", 200), ("cats_dogs/*/w_*", 190), ("neither/*/*", 100)]:
        paths = sorted(SHARED_DATA.glob(pattern))
        for path in chance.sample(paths, count) if paths else ():
            chosen[f"{path.parent.name}-{path.name}"] = path.read_bytes()
    return chosen or {f"made-{seed}.jpg": picture(seed) for seed in range(490)}


@pytest.mark.fault(58, 111)
def test_five_hundred_photos_while_it_runs_killed_three_times_and_its_pages_once(
    pawsort: CommandInstallation, photos: dict[str, bytes]
) -> None:
    pawsort.config.write_text("", encoding="utf-8")  # the defaults, as a user has them
    pages = Pages(free_port())
    worker = pawsort.start("run", "--serve", PAWSORT_WEB__PORT=str(pages.port))
    pages.come_back_after_a_kill(pawsort, worker)
    drop_five_hundred(pawsort, photos)
    for goal in (1, 100, 250):
        pawsort.wait_until_filed(goal)
        pawsort.stop(worker, signal.SIGKILL)
        pages.end(pawsort)
        worker = pawsort.start()
    pawsort.wait_until_filed(500)
    assert pawsort.stop(worker, signal.SIGINT) == 130
    five_hundred_are_filed(pawsort)


def test_five_hundred_photos_once_then_one_is_corrected_and_put_back_and_a_bad_one_comes(
    pawsort: CommandInstallation, photos: dict[str, bytes]
) -> None:
    pawsort.config.write_text("", encoding="utf-8")
    drop_five_hundred(pawsort, photos)
    assert pawsort.command("--once").returncode == 0
    rows = five_hundred_are_filed(pawsort)
    twins = {row["duplicate_of"] for row in rows}
    one = next(row for row in rows if row["id"] not in twins and row["duplicate_of"] is None)
    correct_and_undo_are_seen_everywhere(pawsort, one)
    pawsort.drop("broken.jpg", b"\xff\xd8\xff")
    assert pawsort.command("run", "--once").returncode == 1, "a failed file must show in the exit code"
    back = Path(one["source_path"])
    assert [path.name for path in back.parent.iterdir()] == [back.name], "put back means left alone"
    conserved(pawsort.settings, pawsort.injected)


def drop_five_hundred(pawsort: CommandInstallation, photos: dict[str, bytes]) -> None:
    """Drop all there are, and ten of them again under other names."""
    for number, (name, data) in enumerate([*photos.items(), *list(photos.items())[:10]]):
        pawsort.drop(f"{number % 7}/{number % 3}/{'ü' if number % 5 else '=1+1'}{number}-{name}", data)


def five_hundred_are_filed(pawsort: CommandInstallation) -> list[dict[str, str]]:
    conserved(pawsort.settings, pawsort.injected)
    everything_agrees(pawsort)
    rows: list[dict[str, str]] = pawsort.json("query", by=pawsort.ask)
    assert len(rows) == 500
    assert sum(row["duplicate_of"] is not None for row in rows) == 10
    table_and_csv_show_the_same(rows, pawsort.ask)
    if SHARED_DATA.is_dir():
        _mostly_right(rows)
    return rows


def correct_and_undo_are_seen_everywhere(pawsort: CommandInstallation, one: dict[str, str]) -> None:
    """Call a photo what it was not filed as, and take first that back, then its filing."""
    was, other = Path(one["path"]), "cat" if one["outcome"] == "dogs" else "dog"
    done = pawsort.command("correct", one["path"], "--as", other, "--by", "ann")
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in pawsort.json("query", by=pawsort.ask) if row["id"] == one["id"])
    assert (row["outcome"], row["corrected_to"]) == (f"{other}s", other)
    within = was.relative_to(pawsort.settings.sorted / one["outcome"])
    assert row["path"] == str(pawsort.settings.sorted / f"{other}s" / within)
    everything_agrees(pawsort)
    assert pawsort.command("undo", "--last", "1").returncode == 0
    assert was.is_file()
    assert pawsort.command("undo", str(was)).returncode == 0
    assert Path(one["source_path"]).is_file()


def _mostly_right(rows: list[dict[str, str]]) -> None:
    """Few photos in the wrong folder: the model has seen most of these, so this is no measure of it."""
    wrong = [row for row in rows if row["outcome"] in ("cats", "dogs") and not _is_right(row)]
    assert len(wrong) <= 5, [row["path"] for row in wrong]
    assert sum(row["outcome"] in ("cats", "dogs") for row in rows) >= 300


def _is_right(row: dict[str, str]) -> bool:
    return row["name"].split("-")[1] == row["prediction"]
