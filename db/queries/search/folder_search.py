"""Find files by a folder, of their inbox or of `sorted`, by the date that they were taken, and by worker.

The conditions are in a form that prevents the use of an index: most folders and ranges of dates have many
files, and reading the newest ones finds some fast. Where few match, `ids_in_folder` and `ids_taken` look them
up in an index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, Text, func, or_, select, text, type_coerce

from db.queries.search.name_search import RARE
from db.schema.file_names import escape
from db.schema.tables import IS_BELOW, IS_FILED, IS_REMOVED, files
from db.schema.worker_tables import workers


class WantedFolder(NamedTuple):
    """A folder to search: an absolute path, or one relative to any inbox.

    `is_inner` if it is relative, or below an inbox or `sorted`, so that an index may find its files.
    """

    path: str
    is_inner: bool


class Wanted(Protocol):
    """What is searched; None is no condition. `taken_since` <= taken_at < `taken_until`, both naive.

    `worker` is the name of the worker that has the file.
    """

    @property
    def folder(self) -> WantedFolder | None: ...  # noqa: D102
    @property
    def taken_since(self) -> datetime | None: ...  # noqa: D102
    @property
    def taken_until(self) -> datetime | None: ...  # noqa: D102
    @property
    def worker(self) -> str | None: ...  # noqa: D102


def wanted_folder(said: str, base: Path, inboxes: Sequence[Path], sorted_: Path) -> WantedFolder:
    """Return the folder that a person means: below `base` or `sorted` if it exists there.

    Any other relative one is below the inboxes, where the folder itself may be gone.
    """
    for above in (base, sorted_):
        if os.path.isabs(said) or os.path.isdir(above / said):
            path = os.path.normpath(above / said)
            return WantedFolder(path, any(root in Path(path).parents for root in (*inboxes, sorted_)))
    return WantedFolder(os.path.normpath(said), True)


def in_folder(
    folder: WantedFolder, inbox: ColumnElement[Any], source_path: ColumnElement[Any], path: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return the condition for files that arrived below a folder or are below it now.

    The columns are texts in their readable form.
    """
    prefix = escape(os.fsencode(folder.path)) + "/"
    if os.path.isabs(folder.path):
        return or_(_begins(source_path, 1, prefix), _begins(func.coalesce(path, ""), 1, prefix))
    return _begins(source_path, func.length(inbox) + 2, prefix)


def _begins(column: ColumnElement[Any], at: Any, prefix: str) -> ColumnElement[bool]:
    return func.substr(column, at, len(prefix)) == prefix


_INBOX = type_coerce(files.c.inbox, Text)
OF_FILES: tuple[ColumnElement[Any], ...] = (
    _INBOX,
    _INBOX.concat("/").concat(type_coerce(files.c.source, Text)),
    type_coerce(files.c.path, Text),
    type_coerce(files.c.taken_at, Text),
    select(workers.c.name).where(workers.c.id == files.c.worker_id).scalar_subquery(),
)
"""The columns that `conditions` takes, of the table `files`."""

OF_RESULTS = ("inbox", "source_path", "path", "taken_at", "worker")
"""Their names in the view `results`."""


def conditions(
    wanted: Wanted,
    inbox: ColumnElement[Any],
    source_path: ColumnElement[Any],
    path: ColumnElement[Any],
    taken_at: ColumnElement[Any],
    worker: ColumnElement[Any],
) -> list[Any]:
    """Return the conditions for a folder, dates and a worker, on columns that are texts."""
    known = func.coalesce(taken_at, "")
    found = [] if wanted.folder is None else [in_folder(wanted.folder, inbox, source_path, path)]
    found += [] if wanted.taken_since is None else [known >= _clock(wanted.taken_since)]
    found += [] if wanted.taken_until is None else [known > "", known < _clock(wanted.taken_until)]
    found += [] if wanted.worker is None else [worker == wanted.worker]
    return found


def rare_ids(connection: Connection, wanted: Wanted) -> list[list[int]]:
    """Return, for each condition that few files meet, the ids of all of them."""
    of_folder = None if wanted.folder is None else ids_in_folder(connection, wanted.folder)
    taken = ids_taken(connection, wanted.taken_since, wanted.taken_until)
    of_worker = None if wanted.worker is None else ids_of_worker(connection, wanted.worker)
    return [ids for ids in (of_folder, taken, of_worker) if ids is not None]


def ids_of_worker(connection: Connection, name: str) -> list[int] | None:
    """Return the ids of all files of a worker; None for more than RARE, and in SQLite, where it has all."""
    if connection.dialect.name == "sqlite":
        return None
    id = connection.scalar(select(workers.c.id).where(workers.c.name == name))
    return [] if id is None else few(connection, [[files.c.worker_id == id]])


def ids_taken(connection: Connection, start: datetime | None, end: datetime | None) -> list[int] | None:
    """Return the ids of all photos taken from `start` to `end`; None for more than RARE."""
    column = type_coerce(files.c.taken_at, Text)
    bounds = [] if start is None else [column >= _clock(start)]
    bounds += [] if end is None else [column < _clock(end)]
    return few(connection, [bounds]) if bounds else None


def ids_in_folder(connection: Connection, folder: WantedFolder) -> list[int] | None:
    """Return the ids of all files of a folder; None for more than RARE, or if no index can tell.

    None also in PostgreSQL, whose order of texts depends on the language.
    """
    if connection.dialect.name != "sqlite" or not folder.is_inner:
        return None
    parts = list(_sources(folder.path))
    if os.path.isabs(folder.path):
        parts += [[text(state), *_range(files.c.path, folder.path)] for state in (IS_FILED, IS_REMOVED)]
    return few(connection, parts)


def _sources(folder: str) -> Iterator[list[Any]]:
    """Yield the conditions of a folder's arrivals: below each inbox that the folder may be in."""
    if not os.path.isabs(folder):
        yield [text(IS_BELOW), *_range(files.c.source, folder)]
        return
    for inbox in Path(folder).parents:
        known = type_coerce(files.c.inbox, Text) == escape(os.fsencode(inbox))
        yield [text(IS_BELOW), known, *_range(files.c.source, os.path.relpath(folder, inbox))]


def _range(column: ColumnElement[Any], folder: str) -> list[ColumnElement[bool]]:
    """Return the bounds of the texts that begin with a folder and a slash; 0 is the character after it."""
    name = escape(os.fsencode(folder))
    value = type_coerce(column, Text)
    return [value >= f"{name}/", value < f"{name}0"]


def few(connection: Connection, parts: Sequence[Sequence[Any]]) -> list[int] | None:
    """Return the ids that meet all conditions of one of `parts`, None for more than RARE."""
    found: set[int] = set()
    for conditions in parts:
        found |= set(connection.execute(select(files.c.id).where(*conditions).limit(RARE + 1)).scalars())
        if len(found) > RARE:
            return None
    return sorted(found)


def _clock(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
