"""Find where rows, files and folders disagree. Changes nothing; memory does not grow with their number.

`pipeline.doctor.repair` mends what can be mended safely.

The worker may be at work meanwhile, and it commits before it renames. So a file is looked for in the rows
after it was seen, and a row that seems wrong is read again after its file was looked at.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, select, text

from db.connection.engine import DatabaseError, DatabaseUnavailable, check_damage, reading
from db.ledger.ledger import Entry
from db.queries.listing import filed_at_paths
from db.schema.file_names import escape
from db.schema.rows import entries_by
from db.schema.tables import IS_FILED, IS_PENDING, IS_UNFINISHED, files, moves
from pipeline.config import Settings
from pipeline.corrections.relocation import Relocation, Relocations, relocated
from pipeline.doctor.spellings import respelled
from pipeline.doctor.superseded import elsewhere, owners
from pipeline.files import moves as filing
from pipeline.logs import printable
from pipeline.watch.ignore_rules import is_temporary
from pipeline.worker.locks import holder

Kind = Literal[
    "database",
    "folder",
    "missing",
    "moved",
    "superseded",
    "changed",
    "unreadable",
    "unfinished",
    "pending",
    "unrecorded",
    "orphan",
    "leftover",
]
PAGE = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not agree; `message` says what is wrong and what to do about it."""

    kind: Kind
    path: bytes
    id: int | None
    message: str
    relocation: Relocation | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the path in its readable form."""
        plain = {"kind": self.kind, "path": escape(self.path), "id": self.id, "message": self.message}
        return plain | ({"now": escape(self.relocation.new)} if self.relocation else {})

    def __str__(self) -> str:
        return printable(f"{self.kind}: {escape(self.path)} {self.message}")


def examine(engine: Engine, settings: Settings, hashes: bool = False) -> Iterator[Problem]:
    """Yield each problem when it is found; with `hashes`, read every filed photo and compare its SHA-256.

    Of a damaged database no rows are compared. Raises DatabaseError for one that cannot be read at all.
    """
    damage = list(_database(engine))
    yield from damage
    yield from _folders(settings)
    if damage:
        return
    moved: Counter[Relocation] = Counter()
    yield from _filed(engine, settings, hashes, moved)
    yield from _unfinished(engine, settings)
    yield from _pending(engine)
    yield from _spool(engine, settings)
    yield from _inboxes(settings)
    yield from _sorted(engine, settings, list(moved))


def _database(engine: Engine) -> Iterator[Problem]:
    try:
        check_damage(engine)
    except DatabaseUnavailable:
        raise
    except DatabaseError as error:
        yield Problem("database", os.fsencode(engine.url.database or ""), None, f"is damaged: {error}")


def _folders(settings: Settings) -> Iterator[Problem]:
    for folder in (*settings.inboxes, settings.sorted, settings.state, settings.spool, settings.reports):
        path = os.fsencode(folder)
        if not os.path.isdir(path):
            yield Problem("folder", path, None, "is missing; mount its disk, or make it")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Problem("folder", path, None, "may not be read and written by this user; mend its rights")
    for path in _class_folders(settings):
        if not filing.is_folder(path):
            yield Problem("folder", path, None, "is a link, so nothing is filed into it; make it a folder")


def _class_folders(settings: Settings) -> list[bytes]:
    try:
        with os.scandir(os.fsencode(settings.sorted)) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []  # told by `_folders`


# --- from rows to files -------------------------------------------------------------------------------


def _filed(engine: Engine, settings: Settings, hashes: bool, moved: Counter[Relocation]) -> Iterator[Problem]:
    """Compare each filed row with its file; count in `moved` those that lie in another folder now."""
    relocations, owner = Relocations(engine, settings), owners(engine)
    for entry in filed_entries(engine):
        problem = _compare(entry, entry.path or b"", hashes)
        relocation = relocations.find(entry) if problem and problem.kind == "missing" else None
        if entry.id in owner:
            problem = _superseded(entry, f"belongs to file {owner[entry.id].id}, which is counted too")
        elif relocation is None and problem and problem.kind == "missing":
            problem = _gone(engine, entry) or problem
        if problem and _stands(engine, entry):
            if problem.kind == "missing" and relocation:
                moved[relocation] += 1
            else:
                yield problem
    for relocation, count in moved.items():
        message = (
            f"was moved or renamed: of the files that rows name there, {count} lie in "
            f"{escape(relocation.new)} now; `doctor --repair` makes the rows follow"
        )
        yield Problem("moved", relocation.old, None, message, relocation)


def filed_entries(engine: Engine) -> Iterator[Entry]:
    """Yield the rows of filed files, oldest first, without holding them all."""
    return _entries(engine, IS_FILED)


def _gone(engine: Engine, entry: Entry) -> Problem | None:
    """Return what to say of a file that is gone and has its content filed by another row."""
    if (other := elsewhere(engine, entry)) is None:
        return None
    where = f"is gone; its content is filed as {escape(other.path or b'')} (file {other.id})"
    return _superseded(entry, where)


def _superseded(entry: Entry, why: str) -> Problem:
    return Problem("superseded", entry.path or b"", entry.id, f"{why}; `doctor --repair` ends this row")


def _compare(entry: Entry, path: bytes, hashes: bool) -> Problem | None:
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return Problem("changed", path, entry.id, "is no file any more; put the photo back")
        if found.st_size != entry.bytes:
            return Problem(
                "changed", path, entry.id, f"has {found.st_size} bytes, not {entry.bytes}{_EDITED}"
            )
        if hashes and entry.sha256 and filing.sha256(path) != entry.sha256:
            return Problem("changed", path, entry.id, f"has another content than was filed{_EDITED}")
    except (FileNotFoundError, NotADirectoryError):
        return Problem(
            "missing", path, entry.id, "is gone; put it back under this name unless you deleted it"
        )
    except OSError as error:
        return Problem("unreadable", path, entry.id, f"cannot be read: {error.strerror}; mend that")
    return None


_EDITED = "; if nobody meant to edit it, put the photo back from a backup"


def _unfinished(engine: Engine, settings: Settings) -> Iterator[Problem]:
    for entry in _entries(engine, IS_UNFINISHED):
        spool = os.path.join(os.fsencode(settings.spool), os.fsencode(entry.spool_name))
        lost = not any(map(os.path.lexists, _places(entry, spool)))
        if not _stands(engine, entry):
            continue
        if lost:
            message = (
                "was taken away, and is not where it belongs either; put it back, then restart the worker"
            )
            yield Problem("missing", spool, entry.id, message)
        elif holder(settings.state) is None:
            message = f"is {entry.state}, and no worker runs; start it, and it goes on"
            yield Problem("unfinished", spool, entry.id, message)


def _places(entry: Entry, spool: bytes) -> list[bytes]:
    """List where the file of an unfinished row may lie."""
    if entry.destination is not None:
        return [spool, entry.destination]
    origin = os.path.join(os.fsencode(entry.inbox), entry.source)
    return [spool, origin] if entry.state == "claimed" else [spool]


def _stands(engine: Engine, entry: Entry) -> bool:
    """Tell whether a row still says what it said, and no correction is just moving its file."""
    with reading(engine) as connection:
        moving = select(moves.c.id).where(moves.c.file_id == entry.id, text(IS_PENDING))
        now = entries_by(connection, files.c.id == entry.id)
        return now == [entry] and connection.execute(moving).first() is None


def _pending(engine: Engine) -> Iterator[Problem]:
    with reading(engine) as connection:
        cut_off = select(moves.c.file_id, moves.c.source, moves.c.kind).where(text(IS_PENDING))
        found = connection.execute(cut_off.order_by(moves.c.id)).all()
    for id, source, kind in found:
        message = f"is in the middle of `{kind}`; if none is running, start the worker, which finishes it"
        yield Problem("pending", source, id, message)


def _entries(engine: Engine, condition: str) -> Iterator[Entry]:
    last = 0
    while True:
        with reading(engine) as connection:
            ids = (
                select(files.c.id).where(text(condition), files.c.id > last).order_by(files.c.id).limit(PAGE)
            )
            page = entries_by(connection, files.c.id.in_(ids.subquery().select()))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].id


# --- from files to rows -------------------------------------------------------------------------------


def _spool(engine: Engine, settings: Settings) -> Iterator[Problem]:
    spool = os.fsencode(settings.spool)
    troubles: list[OSError] = []
    for page in _pages(filing.files_below(spool, troubles.append)):
        names = [os.fsdecode(os.path.relpath(path, spool)) for path in page]
        waiting = _known(engine, files.c.spool_name, names, IS_UNFINISHED)
        for path, name in zip(page, names, strict=True):
            if name not in waiting:
                yield from _unexpected("orphan", path, settings)
    yield from _unlisted(troubles)


def _inboxes(settings: Settings) -> Iterator[Problem]:
    """Find what a cut-off undo has left; every other file there waits for the worker."""
    troubles: list[OSError] = []
    for inbox in settings.inboxes:
        for path in filter(filing.is_leftover, filing.files_below(os.fsencode(inbox), troubles.append)):
            yield from _unexpected("leftover", path, settings)


def _sorted(engine: Engine, settings: Settings, moved: Sequence[Relocation]) -> Iterator[Problem]:
    troubles: list[OSError] = []
    for folder in filter(filing.is_folder, _class_folders(settings)):
        for page in _pages(filing.files_below(folder, troubles.append)):
            for path in _unrecorded(engine, os.fsencode(settings.sorted), page, moved):
                yield from _unexpected("unrecorded", path, settings)
    yield from _unlisted(troubles)


def _unrecorded(
    engine: Engine, root: bytes, paths: Sequence[bytes], moved: Sequence[Relocation]
) -> Iterable[bytes]:
    looks = (
        lambda left: filed_at_paths(engine, left),
        lambda left: relocated(engine, left, moved),
        lambda left: _known(engine, files.c.destination, left, IS_UNFINISHED),
        lambda left: _known(engine, moves.c.source, left, IS_PENDING),
        lambda left: _known(engine, moves.c.destination, left, IS_PENDING),
        lambda left: respelled(engine, root, left),
        # Again: what was on its way at the first look has arrived since.
        lambda left: filed_at_paths(engine, left),
    )
    left = dict.fromkeys(paths)
    for look in looks:
        for path in look(list(left)) if left else ():
            del left[path]
    return left


def _known(engine: Engine, column: ColumnElement[Any], values: Sequence[Any], condition: str) -> set[Any]:
    with reading(engine) as connection:
        return set(connection.execute(select(column).where(column.in_(values), text(condition))).scalars())


def _unexpected(kind: Kind, path: bytes, settings: Settings) -> Iterator[Problem]:
    name = os.path.basename(path)
    if not os.path.lexists(path):
        return
    if filing.is_leftover(path):
        # A running worker may be writing it at this moment.
        if holder(settings.state) is None:
            message = "is a copy that was cut off; delete it when the photo itself is in its place"
            yield Problem("leftover", path, None, message)
    elif kind == "orphan":
        yield Problem(kind, path, None, "waits for nothing; start the worker, which takes it up")
    elif not is_temporary(name):
        message = "has no row; `doctor --repair` records it where it lies, an inbox has it sorted anew"
        yield Problem(kind, path, None, message)


def _unlisted(troubles: Iterable[OSError]) -> Iterator[Problem]:
    for error in troubles:
        path = os.fsencode(error.filename or b"")
        yield Problem("unreadable", path, None, f"cannot be listed: {error.strerror}; mend that")


def _pages(paths: Iterator[bytes]) -> Iterator[list[bytes]]:
    while page := list(islice(paths, PAGE)):
        yield page
