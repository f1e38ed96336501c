"""Look up earlier files with the content of a new file: an answer to reuse, the original, a correction."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass

from db.ledger.ledger import Entry, Identity
from db.schema.records import same_time
from db.schema.tables import IMPORTED
from db.schema.worker_tables import FIRST
from pipeline.decision import DUPLICATES, FAILED
from pipeline.files import moves
from pipeline.files.links import content_path

OF_THE_CONTENT = ("empty", "not_an_image", "unsupported", "truncated", "corrupt", "too_many_pixels")
"""Reasons of a failure that the same content always has; a failure with another reason is not reused."""

WITNESSES = 20
"""Other files of a folder that show whether its disk is mounted."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Earlier deliveries of one content.

    `answer` is a row whose answer is reused; `original` is the first row whose file is still in its folder,
    or on its way there; `label` is the last correction; `gone` are filed rows whose file is not at its path
    any more. `is_here` is False if the original is on another machine.
    """

    answer: Entry | None = None
    original: Entry | None = None
    label: str | None = None
    gone: tuple[Entry, ...] = ()
    is_here: bool = True


def look_back(entries: Sequence[Entry], key: str, sorted_: bytes, own: int = FIRST) -> Earlier:
    """Sort the rows of one content, as `Ledger.same_content` returns them, by the places of their files.

    `key` is the current answer key; the caller has checked that `sorted_`, which has the classes' folders, is
    the folder that it was at the start. The answer of a row whose file is gone is not reused: the new file
    may be that file, which came back. Paths are looked at of the worker `own` alone: those of others are of
    other machines, whose files are taken to be where their rows say; they come after the files here.
    """
    kept = [entry for entry in entries if entry.reason != IMPORTED and _outcome(entry) != DUPLICATES]
    kept.sort(key=lambda entry: (not is_ordinary(entry), entry.worker_id != own, entry.id))

    def is_there(entry: Entry) -> bool:
        return entry.state in ("decided", "filed") if entry.worker_id != own else is_present(entry)

    # Lazily, because `is_present` may have to read a file.
    original = next(filter(is_there, kept), None)
    return Earlier(
        answer=next((entry for entry in kept if _answers(entry, key) and is_there(entry)), None),
        original=original,
        label=next((entry.corrected_to for entry in entries if entry.corrected_to), None),
        gone=tuple(entry for entry in entries if entry.worker_id == own and is_gone(entry, sorted_)),
        is_here=original is None or original.worker_id == own,
    )


def is_ordinary(entry: Entry) -> bool:
    """Return whether a file is in the folder of a class or in `uncertain`, so that a copy is a duplicate."""
    return _outcome(entry) not in (DUPLICATES, FAILED)


def is_present(entry: Entry) -> bool:
    """Return whether the file of a row is at the path of the row, with the same content."""
    if entry.state == "decided":
        return any(_holds(path, entry) for path in (entry.path, entry.destination))
    return entry.state == "filed" and _holds(entry.path, entry)


def is_gone(entry: Entry, sorted_: bytes) -> bool:
    """Return whether the file of a filed row is not at its path; False where its folder is missing too."""
    if entry.state != "filed" or entry.path is None or entry.outcome is None:
        return False
    folder = os.path.join(sorted_, os.fsencode(entry.outcome), b"")
    try:
        os.lstat(entry.path)
    except FileNotFoundError:
        # A path outside `sorted_` was recorded before `sorted` was moved.
        return entry.path.startswith(folder) and moves.is_folder(folder[:-1]) and _is_reached(entry.path)
    except OSError:
        return False
    return False


def departed(
    entries: Iterable[Entry],
    arrived: Collection[Identity],
    sorted_: bytes,
    beside: Callable[[Entry, int], Sequence[bytes]],
) -> list[Entry]:
    """Return the filed rows, each once, whose file has really left its folder; see `is_gone`, `has_left`.

    `arrived` has the identities of the files that came in.
    """
    inodes = {identity[:2] for identity in arrived}
    gone = {entry.id: entry for entry in entries if is_gone(entry, sorted_)}
    return [entry for entry in gone.values() if has_left(entry, inodes, beside)]


def has_left(
    entry: Entry,
    arrived: Container[tuple[int, int]],
    beside: Callable[[Entry, int], Sequence[bytes]],
) -> bool:
    """Return whether a missing file has really left its folder, rather than its disk been unmounted.

    `arrived` has device and inode of the files that came in: the very file is one of them. Otherwise its
    folder must have at least half of the oldest other files that belong there; their paths come from
    `beside`. The folder under a disk that is not mounted is empty, or has newer files alone. Where no other
    file belongs, nothing speaks for a disk.
    """
    if (entry.dev, entry.ino) in arrived:
        return True
    paths = beside(entry, WITNESSES)
    return len(paths) <= 2 * sum(map(os.path.lexists, paths))


def _is_reached(path: bytes) -> bool:
    """Return whether the folder of a file is there; a missing one may be on a disk that is not mounted."""
    return os.path.isdir(os.path.dirname(path))


def _holds(path: bytes | None, entry: Entry) -> bool:
    if path is None:
        return False
    try:
        path = content_path(path, entry.link)
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.bytes:
            return False
        # A copy to another file system may have another mtime.
        if entry.sha256 is None:
            return same_time(found.st_mtime_ns, entry.mtime_ns)
        return found.st_mtime_ns == entry.mtime_ns or moves.sha256(path) == entry.sha256
    except OSError:
        return False


def _answers(entry: Entry, key: str) -> bool:
    return entry.answer_key == key and (entry.scores is not None or entry.reason in OF_THE_CONTENT)


def _outcome(entry: Entry) -> str | None:
    return entry.outcome or entry.verdict
