"""Files at the end of long ways: paths longer than the kernel takes at once, and thousands of folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.files import moves
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK, SMALL, Installation, run_until_idle
from tests.support.oracle import conserved

pytestmark = pytest.mark.timeout(300)


def dig(top: Path, parts: list[bytes]) -> int:
    """Make folders below one another, each from within the one before; return the last one, open."""
    fd = os.open(top, os.O_RDONLY)
    for part in parts:
        os.mkdir(part, dir_fd=fd)
        inner = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    return fd


def remove(top: Path) -> None:
    """Remove a folder that may be deeper than `shutil.rmtree`, which calls itself, can go."""
    subprocess.run(["rm", "-rf", top], check=True)


WAYS = {
    "long names": [b"%02d" % n + b"d" * 250 for n in range(20)],
    "too long": [b"d" * 200] * 22,
    "two thousand folders": [b"a"] * 2000,
    "three thousand folders": [b"%04d" % n for n in range(3000)],
    "many bytes": ["ü".encode() * 120] * 40,
}


@pytest.mark.parametrize(
    "way",
    [*(pytest.param(way, marks=pytest.mark.long) if "three" in way else way for way in WAYS)],
)
@pytest.mark.parametrize("across", [False, True], ids=["renamed", "copied"])
@pytest.mark.parametrize("mode", ["polling", "native"])
def test_a_file_at_the_end_of_a_long_way_is_filed_and_so_are_its_neighbours(
    tmp_path: Path, fork_server: ForkServer, way: str, across: bool, mode: str
) -> None:
    far = Path("/dev/shm") / f"pawsort-deep-{os.getpid()}" if across else tmp_path
    if across and not far.parent.is_dir():
        pytest.skip("no other file system to write to")
    text = QUICK.replace("polling", mode)
    text = text.replace("[inbox, scans]", f"[{far}/inbox, {far}/scans]") if across else text
    far.mkdir(exist_ok=True)
    try:
        with ForkedInstallation(tmp_path, fork_server, text) as pawsort:
            folder = dig(pawsort.inbox, WAYS[way])
            for number, name in enumerate((b"photo.jpg", b"x" * 251 + b".jpg")):
                with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder), "wb") as file:
                    file.write(b"deep %d<cat>" % number)
                pawsort.injected.append(b"deep %d<cat>" % number)
            os.close(folder)
            pawsort.drop("neighbour.jpg", b"<dog>")
            assert pawsort.run_once() == 0, pawsort.log
            filed = {os.path.basename(name) for name in pawsort.sorted()}
            assert filed == {"photo.jpg", "x" * 251 + ".jpg", "neighbour.jpg"}
            assert "Traceback" not in pawsort.log
            pawsort.ends_well()
    finally:
        remove(far / "inbox")


def test_a_claim_at_the_end_of_a_long_way_is_taken_up_again_wherever_it_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = Installation(tmp_path, SMALL)
    move, ways = moves.move, ("before", "after", "copied")

    def die(source: bytes, destination: bytes) -> None:
        way = ways[len(pawsort.injected) - 1]
        if way == "copied":
            shutil.copy2(source, destination)
        elif way == "after":
            move(source, destination)
        raise KeyboardInterrupt

    try:
        for number in range(len(ways)):
            folder = dig(pawsort.settings.inboxes[0], [b"%d" % number + b"d" * 200] * 25)
            with open(os.open("a.jpg", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder), "wb") as file:
                file.write(b"%d<cat>" % number)
            os.close(folder)
            pawsort.injected.append(b"%d<cat>" % number)
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(moves, "move", die)
                run_until_idle(pawsort.worker())
            pawsort.run_worker()
        assert pawsort.sorted() == {"cats/a.jpg", "cats/a (2).jpg", "cats/a (3).jpg"}
        conserved(pawsort.settings, pawsort.injected)
    finally:
        pawsort.close()
        remove(pawsort.settings.inboxes[0])
