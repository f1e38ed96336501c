"""Write the keyword of a filed photo into its sidecar, or into a new one beside it.

The photo is never changed. A sidecar is replaced by a new file, so that an original that it is linked to
stays as it is.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from db.schema.file_names import RawName
from db.schema.records import Entry
from pipeline.companions import moving
from pipeline.companions.beside import arrived_as
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
    path = _existing(entry)
    if path is None:
        if not keyword:
            return names
        path = _new(entry.path)
    before = _read(path)
    after = with_keyword(before, keyword) if keyword else before and without_keyword(before)
    mine = arrived_as(os.path.basename(path), entry.name, os.path.basename(entry.path))
    others = tuple(name for name in names if name != mine)
    if after is None:
        if before is not None:
            os.unlink(path)
        return others
    if after != before:
        mode = stat.S_IMODE(os.stat(entry.path if before is None else path).st_mode) & 0o666
        replace_file(Path(os.fsdecode(path)), [after], mode=mode)
    return (*others, mine)


def _existing(entry: Entry) -> RawName | None:
    """Return the path of the photo's sidecar: the one named after all of its name, else after its stem."""
    assert entry.path is not None
    there = [*moving.beside(entry.path, entry.name, entry.companion_names), _new(entry.path)]
    sidecars = [path for path in there if path.lower().endswith(ENDING) and os.path.lexists(path)]
    return max(sidecars, key=lambda path: path.startswith(entry.path or b""), default=None)


def _new(photo: RawName) -> RawName:
    """Return the path of a new sidecar: `a.xmp` of a RAW, as Lightroom reads it, else `a.jpg.xmp`."""
    is_raw = kind(os.path.basename(photo)) == "raw"
    return (os.path.splitext(photo)[0] if is_raw else photo) + ENDING


def _read(path: RawName) -> bytes | None:
    try:
        # It may be a link to the sidecar of an original.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnusableSidecarError("it is no file")
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
