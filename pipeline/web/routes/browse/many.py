"""Read which files a visitor or a client chose, change them, and say of each what failed and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from db.queries import listing
from db.queries.browse import Choice
from db.queries.listing import ResultFilter
from db.schema.file_names import escape
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.decision import with_shown
from pipeline.export.zip_stream import zipped
from pipeline.web.downloads.photo_archive import Elsewhere, members
from pipeline.web.middleware.problems import Problem
from pipeline.web.services.context import AppContext

Row = Mapping[str, Any]

EVERY = Choice()

MOST_ZIPPED = 500
"""Photos in one ZIP file: some gigabytes."""

_CHOSEN = re.compile(r"(\d{1,18})(?::\d{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Failure:
    """A photo that was not changed, and why."""

    id: int
    name: str
    problem: str


def failures(known: Sequence[Known], changes: Sequence[Change]) -> list[Failure]:
    """Return the changes that failed; `changes` are those of `known`, in order."""
    return [
        Failure(file.id, escape(os.path.basename(change.file)), change.problem)
        for file, change in zip(known, changes, strict=True)
        if change.problem
    ]


def photos(count: int) -> str:
    """Return a number of photos in words."""
    return "1 photo" if count == 1 else f"{count} photos"


def ids_of(texts: Sequence[str]) -> list[int]:
    """Parse the ids of chosen files, `ID` or `ID:VERSION` each. Raises Problem 422."""
    found = [_CHOSEN.fullmatch(text) for text in dict.fromkeys(texts)]
    if not found:
        raise Problem(422, "No photo is selected.", "Select some photos first.")
    if len(found) > MOST_ZIPPED:
        raise Problem(422, f"{len(found)} files are too many at once.", f"Choose {MOST_ZIPPED} at most.")
    if not all(found):
        raise Problem(422, "The page sent an invalid file.", "Reload the page.")
    return [int(match[1]) for match in found if match]


def rows_of(context: AppContext, ids: Sequence[int]) -> list[Row]:
    """Return the rows with these ids; ids that no row has are left out."""
    engine = context.database.reader()
    found = [listing.result(engine, id) for id in ids] if engine else []
    return [row for row in found if row is not None]


def archive_of(context: AppContext, ids: Sequence[int]) -> Iterator[bytes]:
    """Return the pieces of a ZIP file of photos. Raises Problem 404 if no row has one of these ids."""
    rows = rows_of(context, ids)
    if not rows:
        raise Problem(404, "No file has one of these ids.", "Reload the page, or GET /api/results.")
    return zipped(members(context.settings, rows, partial(_elsewhere, context)))


def _elsewhere(context: AppContext, row: Row) -> Elsewhere | None:
    owner = context.owner_of(row["id"])
    if owner is None:
        return None
    return Elsewhere(
        owner.name,
        context.other_machines.shared.find(owner.name, row),
        partial(context.other_machines.shared.place, owner.name),
    )


def listed(context: AppContext, wanted: ResultFilter, choice: Choice = EVERY) -> Iterator[dict[str, Any]]:
    """Return rows with the shown label, newest first, of which the first was read already.

    `choice` has further conditions. Raises DatabaseError, here and later.
    """
    engine = context.database.reader()
    rows = listing.results(engine, wanted) if engine else iter(())
    chosen = (with_shown(row) for row in rows if _passes(row, choice))
    first = next(chosen, None)
    return chosen if first is None else chain([first], chosen)


def wanted_of(choice: Choice) -> ResultFilter:
    """Return the conditions of Browse that the list of rows has too; `listed` tests the others."""
    return ResultFilter(
        outcome=choice.outcome,
        inbox=choice.inbox,
        name=choice.name,
        min_confidence=choice.min_confidence,
        max_confidence=choice.max_confidence,
        since=choice.since,
        until=choice.until,
        folder=choice.folder,
        taken_since=choice.taken_since,
        taken_until=choice.taken_until,
        worker=choice.worker,
    )


def _passes(row: Row, choice: Choice) -> bool:
    if choice.reason is not None and row["reason"] != choice.reason:
        return False
    if choice.model is not None and row["model"] != choice.model:
        return False
    return choice.corrected is None or bool(row["corrected_to"]) == choice.corrected


def file_name(context: AppContext, what: str, ending: str) -> str:
    """Return the name of a download of today."""
    return f"pawsort-{what}-{datetime.now(context.settings.report.zone):%Y-%m-%d}.{ending}"
