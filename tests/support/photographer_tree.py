"""A tree of files as a photographer has it: which photos there are, and what belongs to each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Each line is a photo and its companions; `#` is a number.
_GROUPS = (
    ("DSC_#.JPG", "DSC_#.NEF", "DSC_#.xmp"),
    ("DSCN#.JPG", "DSCN#.NEF", "DSCN#.NEF.xmp", "DSCN#.WAV"),
    ("IMG_#.HEIC", "IMG_#.MOV", "IMG_#.AAE"),
    ("IMG_E#.JPG",),
    ("P#.jpg", "P#.jpg.xmp", "P#_01.jpg.xmp"),
    ("alone #.CR2", "alone #.CR2.xmp"),
    ("take#.jpg", "take#.jpg.json"),
    ("take#(1).jpg", "take#.jpg(1).json"),
    ("new#.jpg", "new#.jpg.supplemental-metadata.json"),
    ("cut#.jpg", "cut#.jpg.supplemental-me.json"),
    ("a photo with a name that is longer than Takeout likes #.jpg",),
    ("MVI_#.jpg", "MVI_#.MP4", "MVI_#.THM"),
    ("Ümläut Straße #.jpg", "Ümläut Straße #.xmp"),
    ("decomposed A\u0308 #.jpg", "decomposed A\u0308 #.jpg.xmp"),
    ("emoji \U0001f431 #.jpg", "emoji \U0001f431 #.json"),
    ("new\nline #.jpg", "new\nline #.xmp"),
    ("plain#.png",),
)
_FOLDERS = (
    "",
    "2019/Sommer",
    "2019/Sommer/Größe",
    "2021/a b",
    "2021/Takeout/Photos from 2021",
    "card/DCIM/100",
)
_ODD = b"not utf8 \xff#"
_CATALOGUE = (
    "Lightroom/Trip.lrcat", "Lightroom/Trip.lrcat-data", "Lightroom/Trip Previews.lrdata/0/1.lrprev",
    "Lightroom/Trip Previews.lrdata/0/preview.jpg", "Photos Library.photoslibrary/originals/1/a.jpeg",
)  # fmt: skip
_LONELY = ("2021/Takeout/Photos from 2021/metadata.json", "2019/gone.xmp")


@dataclass(slots=True)
class Tree:
    """`groups` has the names of the companions of each photo by its path; `untouched` stays where it is."""

    groups: dict[bytes, set[bytes]] = field(default_factory=dict)
    untouched: set[bytes] = field(default_factory=set)

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.groups) + sum(map(len, self.groups.values())) + len(self.untouched)


def make_tree(root: Path, files: int) -> Tree:
    """Make at least so many files below `root`, which is there: small ones that a stub classifier answers.

    A twentieth of the photos cannot be read, and as many have the content of another. Some files and folders
    are read-only.
    """
    tree = Tree()
    for name in (*_CATALOGUE, *_LONELY):
        _write(root, name.encode(), b"not for the worker", tree)
        tree.untouched.add(name.encode())
    for number, (photo, companions) in enumerate(_groups()):
        if tree.files >= files:
            break
        tree.groups[photo] = companions
        _write(root, photo, _content(number), tree)
        for name in companions:
            _write(root, os.path.join(os.path.dirname(photo), name), b"%d " % number + name, tree)
    for folder in ("2019/Sommer/Größe", "card/DCIM/100"):
        if (root / folder).is_dir():
            (root / folder).chmod(0o555)
    return tree


def _groups() -> Iterator[tuple[bytes, set[bytes]]]:
    number = 0
    while True:
        for folder in _FOLDERS:
            below = os.path.join(os.fsencode(folder), b"set %d" % (number // 20) if folder else b"")
            names = [tuple(os.fsencode(name) for name in group) for group in _GROUPS]
            for photo, *others in (*names, (_ODD + b".jpg", _ODD + b".xmp")):
                numbered = [name.replace(b"#", b"%d" % number) for name in (photo, *others)]
                yield os.path.join(below, numbered[0]), set(numbered[1:])
        number += 1


def _content(number: int) -> bytes:
    if number % 20 == 7:
        return b"%d<truncated>" % number
    if number % 20 == 11:
        number -= 1  # as the one before
    return b"%d%s" % (number, (b"<cat>", b"<dog>", b"<both>")[number % 3])


def _write(root: Path, path: bytes, data: bytes, tree: Tree) -> None:
    full = os.path.join(os.fsencode(root), path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "xb") as file:
        file.write(data)
    seconds = 1_500_000_000 + 7 * tree.files
    os.utime(full, ns=(seconds * 10**9, seconds * 10**9 + 123_456_789))
    if tree.files % 9 == 0:
        os.chmod(full, 0o444)
