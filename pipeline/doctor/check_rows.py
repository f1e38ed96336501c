"""Compare rows with files: filed, unfinished and moving files that are missing or changed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

from sqlalchemy import Engine

from db.queries import integrity
from db.schema.file_names import escape
from db.schema.records import Entry
from pipeline.companions.moving import beside
from pipeline.corrections.relocation import Relocation, Relocations
from pipeline.doctor.check_files import TAKES_UP
from pipeline.doctor.problem import Problem
from pipeline.doctor.superseded import elsewhere, owners
from pipeline.files import moves
from pipeline.files.links import content_path
from pipeline.files.safe_open import NotRegularError
from pipeline.settings.config import Settings
from pipeline.worker.locks import holder

PAGE = 500
"""Rows that are compared together: a few queries for a page, however many of its files were moved."""

GONE = f"{TAKES_UP} (where a whole folder is missing, an empty folder made in it confirms that)"
_EDITED = "; unless you edited it on purpose, restore the photo from a backup"


def filed(engine: Engine, settings: Settings, hashes: bool, moved: Counter[Relocation]) -> Iterator[Problem]:
    """Compare each filed row with its file; count in `moved` the files that are in another folder now."""
    relocations, owner = Relocations(engine, settings), owners(engine)
    entries = integrity.filed(engine)
    while page := list(islice(entries, PAGE)):
        seen = {entry.id: found for entry in page if (found := _seen(entry, hashes, owner, settings))}
        apart = [e for e in page if e.id not in owner and (e.id in seen or relocations.is_outside(e))]
        relocated = relocations.find_all(apart) if apart else {}
        for entry in page:
            if entry.id not in relocated and entry.id in seen and seen[entry.id].kind == "missing":
                seen[entry.id] = _refiled(engine, entry) or seen[entry.id]
        wrong = [entry for entry in page if entry.id in seen or entry.id in relocated]
        current = integrity.current(engine, wrong) if wrong else set()
        for entry in wrong:
            if entry.id not in current:
                continue
            if entry.id in relocated:
                moved[relocated[entry.id]] += 1
            else:
                yield seen[entry.id]
    yield from map(_moved, moved, moved.values())


def _moved(relocation: Relocation, count: int) -> Problem:
    was, too = ("copied", "too") if relocation.is_copy else ("moved or renamed", "now")
    message = (
        f"was {was}: {count} files that rows name there are in {escape(relocation.new)} {too}; "
        "`doctor --repair` updates the rows"
    )
    return Problem("moved", relocation.old, None, message, relocation)


def _seen(entry: Entry, hashes: bool, owner: Mapping[int, Entry], settings: Settings) -> Problem | None:
    """Return what the file of a row shows; a row whose file another row counts is superseded."""
    if entry.id in owner:
        return _superseded(entry, f"belongs to file {owner[entry.id].id}, which is counted too")
    return _compare(entry, entry.path or b"", hashes, settings.watch.sorted)


def companions(engine: Engine) -> Iterator[Problem]:
    """Find companions that are not beside their photo, although that is in its place."""
    for entry in integrity.filed(engine):
        if not entry.companions or not os.path.lexists(entry.path or b""):
            continue
        for path in missing_companions(entry):
            if integrity.is_current(engine, entry) and not os.path.lexists(path):
                message = f"is missing, and belongs to {escape(entry.path or b'')}; put it back beside that, "
                message += "or, if you deleted it, let `doctor --repair` forget it"
                yield Problem("companion", path, entry.id, message)


def missing_companions(entry: Entry) -> list[bytes]:
    """Return where companions of a filed photo should be and are not."""
    there = beside(entry.path or b"", os.path.basename(entry.source), entry.companion_names)
    return [path for path in there if not os.path.lexists(path)]


def unfinished(engine: Engine, settings: Settings) -> Iterator[Problem]:
    """Find unfinished rows whose file is missing, or that no running worker will finish."""
    for entry in integrity.unfinished(engine):
        spool = os.path.join(os.fsencode(settings.spool), os.fsencode(entry.spool_name))
        lost = not any(map(os.path.lexists, _places(entry, spool)))
        if not integrity.is_current(engine, entry):
            continue
        if lost:
            message = "is neither here nor at its destination; put it back, then restart the worker"
            yield Problem("missing", spool, entry.id, message)
        elif holder(settings.state) is None:
            message = f"is {entry.state}, and no worker is running; start the worker, which finishes it"
            yield Problem("unfinished", spool, entry.id, message)


def pending(engine: Engine) -> Iterator[Problem]:
    """Find corrections and undos that have begun and are not done."""
    for move in integrity.pending_moves(engine):
        message = f"is in the middle of `{move.kind}`; unless one is running, start the worker to finish it"
        yield Problem("pending", move.source, move.file_id, message)


def _refiled(engine: Engine, entry: Entry) -> Problem | None:
    """Return the finding for a missing file whose content another row has filed, else None."""
    if (other := elsewhere(engine, entry)) is None:
        return None
    where = f"is missing; its content is filed as {escape(other.path or b'')} (file {other.id})"
    return _superseded(entry, where)


def _superseded(entry: Entry, why: str) -> Problem:
    return Problem("superseded", entry.path or b"", entry.id, f"{why}; `doctor --repair` ends this row")


def _compare(entry: Entry, path: bytes, hashes: bool, followed: bool) -> Problem | None:
    edited = TAKES_UP if followed else _EDITED
    try:
        if entry.link and os.path.lexists(path) and (wrong := _compare_link(entry, path)):
            return wrong
        content = content_path(path, entry.link)
        found = os.lstat(content)
        if not stat.S_ISREG(found.st_mode):
            return Problem("changed", path, entry.id, "is no longer a file; restore the photo")
        if found.st_size != entry.bytes:
            return Problem("changed", path, entry.id, f"has {found.st_size} bytes, not {entry.bytes}{edited}")
        if hashes and entry.sha256 and moves.sha256(content) != entry.sha256:
            return Problem("changed", path, entry.id, f"has other content than when it was filed{edited}")
    except (FileNotFoundError, NotADirectoryError):
        message = "is missing; put it back under this name unless you deleted it" + (GONE if followed else "")
        return Problem("missing", path, entry.id, message)
    except OSError as error:
        message = f"cannot be read: {error.strerror}; fix this and try again"
        return Problem("unreadable", path, entry.id, message)
    return None


def _compare_link(entry: Entry, path: bytes) -> Problem | None:
    """Return what is wrong with the symbolic link of a row, apart from its original's content."""
    try:
        content_path(path, entry.link)
    except FileNotFoundError:
        original = escape(os.path.join(os.fsencode(entry.inbox), entry.source))
        message = f"is a link to {original}, which is gone; put it back, or undo this photo"
        return Problem("missing", path, entry.id, message)
    except NotRegularError as error:
        return Problem("changed", path, entry.id, f"{error.strerror}; undo what was done to it, or delete it")
    return None


def _places(entry: Entry, spool: bytes) -> list[bytes]:
    """Return the paths at which the file of an unfinished row may be."""
    if entry.destination is not None:
        return [spool, entry.destination]
    origin = os.path.join(os.fsencode(entry.inbox), entry.source)
    return [spool, origin] if entry.state == "claimed" else [spool]
