"""What visitors and programs change: answers, undos, retries; each for files as they saw them.

These block, so a route that uses them is a plain `def`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from db.queries import overview
from db.schema.file_names import escape
from pipeline.corrections import corrections
from pipeline.corrections.corrections import Known
from pipeline.corrections.mover import Change
from pipeline.web.middleware.problems import Problem
from pipeline.web.services.context import AppContext

MOST = 100
"""Files that one request may settle: each is read through to see that it is the one that was filed."""

_SEEN = re.compile(r"(\d{1,18}):(\d{1,18})", re.ASCII)


def seen(texts: Sequence[str]) -> list[Known]:
    """Read files as pages name them, `ID:VERSION`. Raises Problem 422."""
    found = [_SEEN.fullmatch(text) for text in dict.fromkeys(texts)]
    if len(found) > MOST:
        raise Problem(422, f"{len(found)} files are too many at once.", f"Choose {MOST} at most.")
    if not all(found):
        raise Problem(422, "The page sent something that names no file.", "Load the page again.")
    return [Known(int(match[1]), int(match[2])) for match in found if match]


def one_seen(id: int, text: str) -> list[Known]:
    """Read the file `id` as its page names it. Raises Problem 422 if `text` names another file."""
    files = seen([text])
    if [file.id for file in files] != [id]:
        raise Problem(
            422, f"The page sent another file than {id}.", "Load the page again; nothing was changed."
        )
    return files


def settle(context: AppContext, by: str, files: Sequence[Known], label: str) -> list[Change]:
    """Say what is on files. Raises Problem 422 for an unknown label, LockError, DatabaseError."""
    folders = context.labels.folders()
    known = [answer.label for answer in context.labels.answers()]
    if label not in known:
        raise Problem(422, f"There is no class called {label[:60]}.", f"Choose one of: {', '.join(known)}.")
    return corrections.correct(context.database.writer(), context.settings, files, label, by, folders)


def take_back(context: AppContext, by: str, files: Sequence[Known]) -> list[Change]:
    """Undo the last change of each of these files. Raises LockError, DatabaseError."""
    return corrections.undo(context.database.writer(), context.settings, by, files)


def retry(context: AppContext, by: str, files: Sequence[Known | bytes]) -> list[Change]:
    """Send failures in again. Raises LockError, DatabaseError."""
    return corrections.retry(context.database.writer(), context.settings, by, files)


def as_seen(context: AppContext, ids: Sequence[int]) -> dict[int, str]:
    """Return how pages name these files now, `ID:VERSION`."""
    return {file.id: f"{file.id}:{file.version}" for file in now(context, ids)}


def now(context: AppContext, ids: Sequence[int]) -> list[Known]:
    """Return these files as they are now."""
    engine = context.database.reader()
    found = overview.versions(engine, ids) if engine else {}
    return [Known(id, found.get(id, 0)) for id in ids]


def why_changed(context: AppContext, id: int) -> str:
    """Say, for a client that saw a file earlier, who changed it since."""
    engine = context.database.reader()
    found = overview.history(engine, id) if engine else None
    if found is None:
        return f"file {id}: has changed since"
    return f"{escape(os.path.basename(found.entry.path or b''))}: {corrections.changed_since(found.moves)}"


def problems(changes: Sequence[Change]) -> list[str]:
    """Return what went wrong, a line for each file, the first five."""
    lines = [f"{_name(change)}: {change.problem}" for change in changes if change.problem]
    more = [f"and {len(lines) - 5} more"] if len(lines) > 5 else []
    return lines[:5] + more


def _name(change: Change) -> str:
    return escape(os.path.basename(change.file))
