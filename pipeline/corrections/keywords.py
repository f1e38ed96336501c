"""The keyword in the sidecar of a photo that a correction or an undo moves."""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Engine

from db.ledger.keywords import KeywordBook
from db.schema.file_names import escape
from db.schema.records import Entry
from pipeline.keywords.step import take_out, write_due

log = logging.getLogger(__name__)


def without_keyword(entry: Entry, engine: Engine) -> Entry:
    """Take the keyword out of the sidecar of a photo that leaves `sorted`. Raises OSError, DatabaseError."""
    if entry.keyword is None:
        return entry
    names = take_out(KeywordBook(engine), entry)
    return replace(entry, companions=[escape(name) for name in names] or None)


def write_keyword(file_id: int, engine: Engine) -> None:
    """Write the keyword of a moved photo; the worker tries again after an error. Raises DatabaseError."""
    try:
        write_due(KeywordBook(engine), file_id)
    except OSError as error:
        log.warning("the keyword of photo %d is not written yet: %s", file_id, error)
