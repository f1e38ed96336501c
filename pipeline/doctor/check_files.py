"""Compare files with rows: files in the spool, the inboxes and `sorted` that no row accounts for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from sqlalchemy import Engine

from db.queries import integrity
from db.queries.listing import filed_at_paths
from pipeline.companions.beside import is_companion
from pipeline.companions.strays import photo_in_spool
from pipeline.corrections.relocation import Relocation, relocated
from pipeline.corrections.spellings import respelled
from pipeline.doctor.problem import Kind, Problem
from pipeline.files import moves
from pipeline.settings.config import Settings
from pipeline.watch.ignore_rules import is_temporary
from pipeline.worker.locks import holder

PAGE = 500
OLD_SECONDS = 3600.0
"""Longer than any copy into an inbox takes."""

TAKES_UP = "; the worker takes this up when it runs"
"""Added to findings that come from what people do by hand, unless `watch.sorted` is off."""


def spool(engine: Engine, settings: Settings) -> Iterator[Problem]:
    """Find files in the spool that belong to no unfinished row."""
    root = os.fsencode(settings.spool)
    errors: list[OSError] = []
    for page in _pages(moves.files_below(root, errors.append)):
        names = [os.fsdecode(photo_in_spool(os.path.relpath(path, root))) for path in page]
        waiting = integrity.spooled(engine, names)
        for path, name in zip(page, names, strict=True):
            if name not in waiting:
                yield from _unexpected("orphan", path, settings)
    yield from _unlisted(errors)


def inboxes(settings: Settings) -> Iterator[Problem]:
    """Find unfinished copies that an interrupted undo has left; other files there wait for the worker.

    In an inbox that is divided, they may be of another worker, which is still at it.
    """
    errors: list[OSError] = []
    for inbox in settings.inboxes:
        for path in filter(moves.is_leftover, moves.files_below(os.fsencode(inbox), errors.append)):
            if settings.share_of(inbox) is None or _is_old(path):
                yield from _unexpected("leftover", path, settings)


def _is_old(path: bytes) -> bool:
    with suppress(OSError):  # it is gone by now
        return time.time() - os.lstat(path).st_ctime > OLD_SECONDS
    return False


def sorted_files(engine: Engine, settings: Settings, moved: Sequence[Relocation]) -> Iterator[Problem]:
    """Find files in the folders of classes that no row names."""
    errors: list[OSError] = []
    for folder in filter(moves.is_folder, class_folders(settings)):
        for page in _pages(moves.files_below(folder, errors.append)):
            for path in _unrecorded(engine, os.fsencode(settings.sorted), page, moved):
                if settings.filing.companions and is_companion(path):
                    continue
                yield from _unexpected("unrecorded", path, settings)
    yield from _unlisted(errors)


def class_folders(settings: Settings) -> list[bytes]:
    """Return the folders in `sorted`, links to folders included; none if it cannot be listed."""
    try:
        with os.scandir(os.fsencode(settings.sorted)) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []  # `examine` reports the folder itself


def _unrecorded(
    engine: Engine, root: bytes, paths: Sequence[bytes], moved: Sequence[Relocation]
) -> Iterable[bytes]:
    lookups = (
        lambda left: filed_at_paths(engine, left),
        lambda left: relocated(engine, left, moved),
        lambda left: integrity.expected(engine, left),
        lambda left: integrity.moving(engine, left),
        lambda left: respelled(engine, root, left),
        # Again, because a file that was on its way at the first lookup may have arrived since.
        lambda left: filed_at_paths(engine, left),
    )
    left = dict.fromkeys(paths)
    for lookup in lookups:
        for path in lookup(list(left)) if left else ():
            del left[path]
    return left


def _unexpected(kind: Kind, path: bytes, settings: Settings) -> Iterator[Problem]:
    name = os.path.basename(path)
    if not os.path.lexists(path):
        return
    if moves.is_leftover(path):
        # A running worker may be writing it now.
        if holder(settings.state) is None:
            message = "is an unfinished copy; delete it once the photo itself is in its place"
            yield Problem("leftover", path, None, message)
    elif kind == "orphan":
        yield Problem(kind, path, None, "belongs to no row; start the worker, which processes it")
    elif not is_temporary(name):
        takes_up = TAKES_UP if settings.watch.sorted else ""
        message = f"has no row{takes_up}; `doctor --repair` records it too, or move it to an inbox to sort it"
        yield Problem(kind, path, None, message)


def _unlisted(errors: Iterable[OSError]) -> Iterator[Problem]:
    for error in errors:
        path = os.fsencode(error.filename or b"")
        message = f"cannot be listed: {error.strerror}; fix this and try again"
        yield Problem("unreadable", path, None, message)


def _pages(paths: Iterator[bytes]) -> Iterator[list[bytes]]:
    while page := list(islice(paths, PAGE)):
        yield page
