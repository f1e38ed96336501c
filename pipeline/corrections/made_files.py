"""Photos that were copied or linked: remove what was made to undo its filing.

Never the original. What was made is removed only if it is still that, and the original is where it was with
the same content: it might be the only copy otherwise.
"""

from __future__ import annotations

import os
import stat

from db.ledger.ledger import Entry
from db.schema.file_names import escape
from db.schema.records import from_words, same_time
from pipeline.corrections.refused import RefusedError
from pipeline.files import moves
from pipeline.files.links import target_of


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


def remove(entry: Entry) -> None:
    """Remove the file or link that was made, durably; nothing happens if it is gone. Raises OSError.

    The caller has verified that it is the one that was made.
    """
    assert entry.path is not None
    if os.path.lexists(entry.path):
        os.unlink(entry.path)
    moves.sync_folders([os.path.dirname(entry.path)])


def is_link_of(entry: Entry) -> bool:
    """Return whether the symbolic link of a row is there and names its original. Raises OSError."""
    assert entry.path is not None and entry.link is not None
    return target_of(entry.path) == os.path.join(*entry.link)
