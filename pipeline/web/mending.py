"""Corrections and undos of files by their ids; the moves themselves are made by `pipeline.corrections`.

These block, so a route that uses them is a plain `def`.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence

from db.names import unescape
from db.queries import result
from pipeline import corrections
from pipeline.mover import Change
from pipeline.web.problems import Problem
from pipeline.web.site import Site


def who() -> str:
    """Return who corrects where nobody gives a name: whose server it is, and that it was on a page."""
    try:
        return f"{getpass.getuser()} (page)"
    except (KeyError, OSError):
        return f"uid {os.getuid()} (page)"


def correct(site: Site, ids: Sequence[int], label: str, by: str | None = None) -> list[Change]:
    """Say what is on these photos. Raises Problem, SettingsError, LockError, DatabaseError, ModelError."""
    return _of(
        site,
        ids,
        lambda paths: corrections.correct(site.store.writer(), site.settings, paths, label, by or who()),
    )


def undo(site: Site, ids: Sequence[int], by: str | None = None) -> list[Change]:
    """Take back the last change of each of these files. Raises as `correct`."""
    return _of(
        site,
        ids,
        lambda paths: corrections.undo(site.store.writer(), site.settings, by or who(), files=paths),
    )


def _of(site: Site, ids: Sequence[int], make: Callable[[list[bytes]], list[Change]]) -> list[Change]:
    engine = site.store.reader()
    paths = []
    for id in ids:
        row = result(engine, id) if engine else None
        if row is None:
            raise Problem(404, f"There is no file {id}.", "Look it up in the list.")
        if row["state"] != "filed" or row["path"] is None:
            raise Problem(409, f"File {id} is not filed: it is {row['state']}.", "Wait until it is filed.")
        paths.append(unescape(row["path"]))
    return make(paths)
