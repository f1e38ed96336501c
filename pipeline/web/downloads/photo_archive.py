"""A ZIP file of photos and their companions, read one after the other while it is sent.

A photo that cannot be read is left out, and a text file in the archive says which and why.
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

from db.schema.file_names import unescape
from pipeline.companions import rules
from pipeline.export.zip_stream import Member
from pipeline.files.naming import split_extension
from pipeline.files.safe_open import Opened, opened
from pipeline.settings.config import Settings
from pipeline.thumbnails.content import Content, below, content_path, photo_folders
from pipeline.web.downloads.originals import (
    PIECE_BYTES,
    Row,
    companions_of,
    opened_content,
    readable,
    why,
)

NOTE = "not included.txt"

_REFUSED_BY_SYSTEMS = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|]')


def members(
    settings: Settings, rows: Sequence[Row], elsewhere: Callable[[Row], Elsewhere | None] = lambda _: None
) -> Iterator[Member]:
    """Yield the photos of `rows` and their companions, and at the end what could not be read, if anything.

    `elsewhere` says where a photo of another machine is, None for one of this machine.
    """
    photos = _Photos(settings, elsewhere)
    for row in rows:
        yield from photos.of(row)
    if photos.problems:
        lines = ["These files are not, or not wholly, in this archive:", "", *photos.problems, ""]
        text = "\n".join(lines).encode(errors="backslashreplace")
        yield Member(photos.free([NOTE.encode()])[0], [text], len(text), time.localtime()[:6])


class Elsewhere(NamedTuple):
    """The machine of a photo, and where this one has the folder with it: None if it is not shared.

    `place` does the same for other paths of that machine.
    """

    owner: str
    content: Content | None
    place: Callable[[bytes], Content | None]


class _Photos:
    """Choose names, and open the files one at a time."""

    def __init__(self, settings: Settings, elsewhere: Callable[[Row], Elsewhere | None]) -> None:
        self._settings = settings
        self._elsewhere = elsewhere
        self._taken: set[str] = set()
        self.problems: list[str] = []

    def of(self, row: Row) -> Iterator[Member]:
        """Yield a photo and its companions, under names that stay paired."""
        if row["path"] is None:
            self._miss(row["name"], "it waits in the inbox")
            return
        if other := self._elsewhere(row):
            yield from self._of_other(row, other)
            return
        companions = companions_of(row)
        arrived = os.path.basename(unescape(row["source_path"]))
        names = self.free([self._wanted(row)], [name for name, _ in companions], arrived)
        for name, path in zip(names, [content_path(row), *(path for _, path in companions)], strict=True):
            yield from self._member(name, opened_content(self._settings, path), path)

    def _of_other(self, row: Row, other: Elsewhere) -> Iterator[Member]:
        """Yield a photo of another machine and its companions from a folder that is shared."""
        if other.content is None:
            self._miss(row["name"], f"it is on {other.owner}; download it there")
            return
        found = [(name, other.place(path), path) for name, path in companions_of(row)]
        companions = [(name, content, path) for name, content, path in found if content]
        arrived, wanted = (
            os.path.basename(unescape(row["source_path"])),
            os.path.basename(unescape(row["path"])),
        )
        folder = os.path.join(other.owner.encode(), os.fsencode(row["outcome"] or ""))
        names = self.free([os.path.join(folder, wanted)], [name for name, *_ in companions], arrived)
        parts = [
            (other.content, unescape(row["path"])),
            *((content, path) for _, content, path in companions),
        ]
        for name, (content, path) in zip(names, parts, strict=True):
            yield from self._member(name, opened(*content), path)

    def free(
        self, wanted: Sequence[bytes], companions: Sequence[bytes] = (), arrived: bytes = b""
    ) -> list[str]:
        """Return names that no member has, also where case does not count; all with the same number."""
        [photo] = wanted
        folder, now = os.path.split(photo)
        stem, ending = split_extension(now)
        for number in range(1, len(self._taken) + 2):
            name = now if number == 1 else b"%b (%d)%b" % (stem, number, ending)
            group = [name, *(rules.paired(each, arrived, name) for each in companions)]
            found = [_plain(os.path.join(folder, each)) for each in group]
            keys = {unicodedata.normalize("NFC", each).casefold() for each in found}
            if len(keys) == len(found) and not keys & self._taken:
                break
        self._taken |= keys
        return found

    def _wanted(self, row: Row) -> bytes:
        """Return the path of a photo in the archive: that below `sorted`, or below its inbox's name."""
        path = unescape(row["path"])
        found = below(photo_folders(self._settings), path)
        if found is None or found.root == self._settings.spool:
            return os.path.join(b"waiting", unescape(row["name"]))
        if found.root == self._settings.sorted:
            return found.inside
        return os.path.join(os.fsencode(found.root.name), found.inside)

    def _member(self, name: str, opening: AbstractContextManager[Opened], path: bytes) -> Iterator[Member]:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(opening)
            except OSError as error:
                self._miss(readable(path), why(error))
                return
            size, changed = file.stat.st_size, time.localtime(file.stat.st_mtime)[:6]
            yield Member(name, self._pieces(file, path), size, changed)

    def _pieces(self, file: Opened, path: bytes) -> Iterator[bytes]:
        """Yield the content; never more than was there when it was opened."""
        remaining = file.stat.st_size
        try:
            while remaining and (piece := os.read(file.fd, min(PIECE_BYTES, remaining))):
                remaining -= len(piece)
                yield piece
        except OSError as error:
            self._miss(readable(path), f"only a part could be read: {why(error)}")
            return
        if remaining:
            self._miss(readable(path), "it was shortened while it was read")

    def _miss(self, name: str, problem: str) -> None:
        self.problems.append(f"{name}: {problem}")


def _plain(path: bytes) -> str:
    """Return a name that every system can unpack, and only below the chosen folder."""
    parts = path.decode(errors="replace").split("/")
    return "/".join(_REFUSED_BY_SYSTEMS.sub("_", part).rstrip(" .") or "_" for part in parts)
