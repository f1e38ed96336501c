"""Photos that were copied or linked: remove what was made to undo its filing, and what belongs to it.

Never the original. What was made is removed only if it is still that, and the original is where it was with
the same content: it might be the only copy otherwise. So with a companion: one that differs from its original
was edited here or there, and the undo is refused. The photo is removed first: while it is there, nothing is.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence

from db.ledger.ledger import Entry
from db.schema.file_names import escape
from db.schema.records import from_words, same_time
from pipeline.companions.moving import beside
from pipeline.corrections.refused import RefusedError
from pipeline.files import moves
from pipeline.files.links import target_of
from pipeline.originals.companions import is_made

log = logging.getLogger(__name__)


def refuse_only_copy(entry: Entry, original: bytes) -> None:
    """Raise RefusedError unless the original of a filed photo, at the path `original`, still has its content.

    Removing a symbolic link loses nothing.
    """
    if entry.link is not None or _is_kept(entry, original):
        return
    raise RefusedError(
        f"its original, {escape(original)}, is gone or has changed, so that this may be the only copy; "
        "nothing was removed"
    )


def _is_kept(entry: Entry, original: bytes) -> bool:
    try:
        found = os.lstat(original)
        if not stat.S_ISREG(found.st_mode):
            return False
        if entry.action == "hardlink" and os.path.samefile(original, entry.path or b""):
            return True
        _, _, size, mtime_ns = from_words(entry.original or "0 0 0 0")
        if (found.st_size, entry.bytes) != (size, size):
            return False
        if entry.sha256 is None:
            return same_time(found.st_mtime_ns, mtime_ns)
        return moves.sha256(original) == entry.sha256
    except OSError:
        return False


def companions(entry: Entry, original: bytes) -> list[bytes]:
    """Return the paths of what was made of the companions of a photo, whose original is at `original`.

    Raises RefusedError if one of them is something else now, OSError if one cannot be read.
    """
    there = _companions(entry, original)
    for path, source in there:
        if not is_made(entry.action or "", path, source):
            raise RefusedError(
                f"its companion {escape(path)} is not what {escape(source)} is: it was edited or added; "
                "move it elsewhere or delete it, then undo again; nothing was removed"
            )
    return [path for path, _ in there]


def rest_of(entry: Entry, original: bytes) -> list[bytes]:
    """Return what an interrupted removal still has to remove of the companions of a photo that is removed.

    One that has been edited since stays. Raises OSError.
    """
    there = _companions(entry, original)
    made = [path for path, source in there if is_made(entry.action or "", path, source)]
    for path, _ in there:
        if path not in made:
            log.warning("%a was edited or added; it stays, and its photo is undone", os.fsdecode(path))
    return made


def _companions(entry: Entry, original: bytes) -> list[tuple[bytes, bytes]]:
    """Return the companions that lie beside a photo, each with the path of its original."""
    assert entry.path is not None
    names = entry.companion_names
    sources = [os.path.join(os.path.dirname(entry.target or original), name) for name in names]
    here = beside(entry.path, os.path.basename(entry.source), names)
    return [pair for pair in zip(here, sources, strict=True) if os.path.lexists(pair[0])]


def remove(entry: Entry, companions: Sequence[bytes]) -> None:
    """Remove the file or link that was made, then its companions, durably; one that is gone is left out.

    The caller has verified that each is what was made. Raises OSError.
    """
    assert entry.path is not None
    for path in (entry.path, *companions):
        if os.path.lexists(path):
            os.unlink(path)
    moves.sync_folders([os.path.dirname(entry.path)])


def is_link_of(entry: Entry) -> bool:
    """Return whether the symbolic link of a row is there and names its original. Raises OSError."""
    assert entry.path is not None and entry.link is not None
    return target_of(entry.path) == os.path.join(*entry.link)
