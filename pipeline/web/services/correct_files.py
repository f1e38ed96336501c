"""Correct, undo and retry files for visitors and API clients, if the files have not changed meanwhile.

Files of other machines are not changed here: their owners get requests. These functions block, so a route
that uses them is a plain `def`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence

from db.queries import overview
from db.queries.requests import Request
from db.schema.file_names import escape
from db.schema.tables import Via
from models.labels import NEITHER
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.requests.asking import Asker, after_request
from pipeline.requests.owners import others_of
from pipeline.spot_checks import answer
from pipeline.web.middleware.problems import Problem
from pipeline.web.services.context import AppContext

MOST = 100
"""Files that one request may correct; each is read and its hash compared, which takes time."""

_SEEN = re.compile(r"(\d{1,18}):(\d{1,18})", re.ASCII)


def parse_versions(texts: Sequence[str]) -> list[Known]:
    """Parse files in the form of the pages, `ID:VERSION`. Raises Problem 422."""
    found = [_SEEN.fullmatch(text) for text in dict.fromkeys(texts)]
    if len(found) > MOST:
        raise Problem(422, f"{len(found)} files are too many at once.", f"Choose {MOST} at most.")
    if not all(found):
        raise Problem(422, "The page sent an invalid file version.", "Reload the page.")
    return [Known(int(match[1]), int(match[2])) for match in found if match]


def parse_version(id: int, text: str) -> list[Known]:
    """Parse the version of the file `id`. Raises Problem 422 if `text` names another file."""
    files = parse_versions([text])
    if [file.id for file in files] != [id]:
        raise Problem(
            422,
            f"The page sent the version of another file than {id}.",
            "Reload the page; nothing was changed.",
        )
    return files


def folders_with(context: AppContext, label: str) -> dict[str, str]:
    """Return the folder of each label. Raises Problem 422 if `label` is none of them, DatabaseError."""
    folders = context.folders()
    if label not in (known := dict.fromkeys([*folders, NEITHER])):
        raise Problem(422, f"Unknown label {label[:60]}.", f"Choose one of: {', '.join(known)}.")
    return folders


def correct(
    context: AppContext, by: str, files: Sequence[Known], label: str, via: Via = "page"
) -> list[Change]:
    """Correct files to a label; with the `via` "check" that is also the answer to a spot check.

    Raises Problem 422 for an unknown label, LockError, DatabaseError.
    """
    folders, settings = folders_with(context, label), context.settings

    def here(mine: Sequence[Known]) -> list[Change]:
        own = context.database.own()
        if via == "check":
            return answer.answer(own, settings, mine, label, by, folders)
        return correct_undo_retry.correct(own, settings, mine, label, by, folders, via=via)

    return _asker(context, by, via).change(files, "correct", here, label)


def undo(context: AppContext, by: str, files: Sequence[Known], via: Via = "page") -> list[Change]:
    """Undo the last change of each of these files; open requests are taken back.

    Raises LockError, DatabaseError.
    """

    def here(mine: Sequence[Known]) -> list[Change]:
        own, settings = context.database.own(), context.settings
        if via == "check":
            return answer.undo(own, settings, mine, by)
        return correct_undo_retry.undo(own, settings, by, mine, via=via)

    return _asker(context, by, via).undo(files, here)


def retry(context: AppContext, by: str, files: Sequence[Known]) -> list[Change]:
    """Put failed files back into their inbox. Raises LockError, DatabaseError."""

    def here(mine: Sequence[Known]) -> list[Change]:
        return correct_undo_retry.retry(context.database.own(), context.settings, by, mine, via="page")

    return _asker(context, by, "page").change(files, "retry", here)


def take_back(context: AppContext, by: str, request: Request) -> Change:
    """Take back an open request; the change has a problem if it is not open any more."""
    return _asker(context, by, request.via).take_back(request)


def standing(context: AppContext, files: Sequence[Known]) -> list[Known]:
    """Return the versions that files got by the changes of the person who saw `files`.

    They differ where another machine has carried the change out since.
    """
    engine = context.database.reader()
    others = others_of(engine, context.own_id(), [file.id for file in files]) if engine else {}
    return [after_request(engine, file) if engine and file.id in others else file for file in files]


def said(changes: Sequence[Change], what: Callable[[str], str]) -> str:
    """Return how many photos were changed, as `what` says it, and how many were sent to whom."""
    done = [change for change in changes if change.problem is None]
    sent = Counter(change.owner for change in done if change.request is not None)
    count = len(done) - sent.total()
    parts = [what(_photos(count))] if count else []
    return " ".join([*parts, *(f"{_photos(count)} sent to {owner}." for owner, count in sent.items())])


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"


def _asker(context: AppContext, by: str, via: Via) -> Asker:
    return Asker(context.database.writer(), context.own_id(), by, via)


def versions(context: AppContext, ids: Sequence[int]) -> dict[int, str]:
    """Return the current version of each file in the form of the pages, `ID:VERSION`."""
    return {file.id: f"{file.id}:{file.version}" for file in current(context, ids)}


def current(context: AppContext, ids: Sequence[int]) -> list[Known]:
    """Return the current version of each file."""
    engine = context.database.reader()
    found = overview.versions(engine, ids) if engine else {}
    return [Known(id, found.get(id, 0)) for id in ids]


def why_changed(context: AppContext, id: int) -> str:
    """Return who changed a file since a client read it."""
    engine = context.database.reader()
    found = overview.history(engine, id) if engine else None
    if found is None:
        return f"file {id}: has changed since"
    name = escape(os.path.basename(found.entry.path or b""))
    return f"{name}: {correct_undo_retry.changed_since(found.moves)}"


def problems(changes: Sequence[Change]) -> list[str]:
    """Return a line for each file whose change failed, at most five and a count of the rest."""
    lines = [f"{_name(change)}: {change.problem}" for change in changes if change.problem]
    more = [f"and {len(lines) - 5} more"] if len(lines) > 5 else []
    return lines[:5] + more


def _name(change: Change) -> str:
    return escape(os.path.basename(change.file))
