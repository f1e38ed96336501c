"""Write the keyword of a filed photo into its sidecar, or into a new one beside it.

The photo is never changed. A sidecar is replaced by a new file, so that an original that it is linked to
stays as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from db.schema.file_names import RawName
from db.schema.records import Entry
from pipeline.companions import moving
from pipeline.companions.beside import arrived_as, is_companion
from pipeline.companions.rules import kind
from pipeline.files.replace_file import replace_file
from pipeline.keywords.elements import LARGEST, UnusableSidecarError
from pipeline.keywords.packet import with_keyword, without_keyword

ENDING = b".xmp"


def write(entry: Entry, keyword: str) -> tuple[RawName, ...]:
    """Write a keyword beside the photo at `entry.path`, or take out that of Pawsort if it is empty.

    Idempotent. Returns the names of the photo's companions from now on, as they arrived. Raises OSError, and
    UnusableSidecarError for a sidecar that is left as it is.
    """
    assert entry.path is not None
    names = entry.companion_names
    chosen, *others = _existing(entry) or [_new(entry.path)]
    for path in others:  # that of its stem may have been the only one when its keyword was written
        with contextlib.suppress(UnusableSidecarError):
            names = _write(entry, path, "", names)
    return _write(entry, chosen, keyword, names)


def _write(entry: Entry, path: RawName, keyword: str, names: tuple[RawName, ...]) -> tuple[RawName, ...]:
    assert entry.path is not None
    before = _read(path)
    if before is None and not keyword:
        return names
    after = with_keyword(before, keyword) if keyword else before and without_keyword(before)
    mine = arrived_as(os.path.basename(path), entry.name, os.path.basename(entry.path))
    others = tuple(name for name in names if name != mine)
    if after is None:
        os.unlink(path)
        return others
    if after != before:
        _replace(path, after, entry.path if before is None else path)
    return (*others, mine)


def _replace(path: RawName, data: bytes, like: RawName) -> None:
    """Replace a sidecar; the new one may be read by those who may read the file at `like`."""
    try:
        mode = stat.S_IMODE(os.stat(like).st_mode) & 0o666
    except FileNotFoundError:  # a photo that is a link to an original on a disk that is not mounted
        mode = 0o600
    try:
        replace_file(Path(os.fsdecode(path)), [data], mode=mode)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UnusableSidecarError("its name is too long for the disk") from error


def _existing(entry: Entry) -> list[RawName]:
    """Return the paths of the photo's sidecars: the one named after all of its name comes first."""
    photo = entry.path
    assert photo is not None
    there = dict.fromkeys([*moving.beside(photo, entry.name, entry.companion_names), _new(photo)])
    sidecars = [path for path in there if path.lower().endswith(ENDING) and os.path.lexists(path)]
    return sorted(sidecars, key=lambda path: not path.startswith(photo))


def _new(photo: RawName) -> RawName:
    """Return the path of a new sidecar: `a.xmp` of a RAW, as Lightroom reads it, else `a.jpg.xmp`.

    Beside a RAW with a picture of its stem, `a.xmp` is the picture's.
    """
    is_raw = kind(os.path.basename(photo)) == "raw" and not is_companion(photo)
    return (os.path.splitext(photo)[0] if is_raw else photo) + ENDING


def _read(path: RawName) -> bytes | None:
    try:
        # It may be a link to the sidecar of an original.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnusableSidecarError("it is no file")
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        if os.path.islink(path):
            raise
        return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None  # so that the new one cannot be written either, which says so
