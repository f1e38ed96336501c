"""What earlier deliveries of the same content tell of a file that has arrived."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from db.ledger.ledger import Entry
from db.schema.tables import IMPORTED
from pipeline.decision import DUPLICATES, FAILED
from pipeline.files import moves

OF_THE_CONTENT = ("empty", "not_an_image", "unsupported", "truncated", "corrupt", "too_many_pixels")
"""Reasons of a failure that come again under the same conditions; any other may pass."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Earlier deliveries of one content.

    `answer` has an answer that would be given again; `original` is the first whose file is still in its
    folder, or on its way there; `label` is what a person said last; `gone` are filed rows whose file is not
    at its path any more.
    """

    answer: Entry | None = None
    original: Entry | None = None
    label: str | None = None
    gone: tuple[Entry, ...] = ()


def look_back(entries: Sequence[Entry], key: str, sorted_: bytes) -> Earlier:
    """Judge the rows of one content, as `Ledger.same_content` returns them, by where their files are.

    `key` is the answer key in force; the caller knows that `sorted_`, with the classes' folders in it, is the
    right one. A row whose file is gone lends its answer to none: it may be that of the file that came back.
    """
    kept = [entry for entry in entries if entry.reason != IMPORTED and _outcome(entry) != DUPLICATES]
    kept.sort(key=lambda entry: (not is_ordinary(entry), entry.id))
    # Only as far as needed, because a look may have to read a file.
    return Earlier(
        answer=next((entry for entry in kept if _answers(entry, key) and is_present(entry)), None),
        original=next(filter(is_present, kept), None),
        label=next((entry.corrected_to for entry in entries if entry.corrected_to), None),
        gone=tuple(entry for entry in entries if is_gone(entry, sorted_)),
    )


def is_ordinary(entry: Entry) -> bool:
    """Tell whether a file is kept in a folder beside which a copy is one too many."""
    return _outcome(entry) not in (DUPLICATES, FAILED)


def is_present(entry: Entry) -> bool:
    """Tell whether the file of a row is where the row says, with the content that it had."""
    if entry.state == "decided":
        return any(_holds(path, entry) for path in (entry.path, entry.destination))
    return entry.state == "filed" and _holds(entry.path, entry)


def is_gone(entry: Entry, sorted_: bytes) -> bool:
    """Tell whether the file of a filed row has left its path, as far as its folder is there to be asked."""
    if entry.state != "filed" or entry.path is None or entry.outcome is None:
        return False
    folder = os.path.join(sorted_, os.fsencode(entry.outcome), b"")
    try:
        os.lstat(entry.path)
    except FileNotFoundError:
        # A path elsewhere is one from before `sorted` was moved.
        return entry.path.startswith(folder) and moves.is_folder(folder[:-1])
    except OSError:
        return False
    return False


def _holds(path: bytes | None, entry: Entry) -> bool:
    if path is None:
        return False
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.bytes:
            return False
        # A copy to another file system may have another time.
        return found.st_mtime_ns == entry.mtime_ns or moves.sha256(path) == entry.sha256
    except OSError:
        return False


def _answers(entry: Entry, key: str) -> bool:
    return entry.answer_key == key and (entry.scores is not None or entry.reason in OF_THE_CONTENT)


def _outcome(entry: Entry) -> str | None:
    return entry.outcome or entry.verdict
