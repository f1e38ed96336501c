"""Refuse to start a worker whose rows have not followed a move: it would take the same photos again."""

from __future__ import annotations

import os

from sqlalchemy import Engine

from db.ledger import prefixes
from db.schema.file_names import escape
from db.schema.records import Entry, from_words, same_time
from pipeline.errors import SettingsError
from pipeline.files.copy import identity
from pipeline.settings.config import Settings

MOST = 50
"""Rows that are looked at, the newest; after a move all of them are elsewhere."""


def refuse_unfollowed(engine: Engine, settings: Settings) -> None:
    """Raise SettingsError if originals that were taken, or photos that were put back, are in another inbox.

    They would be taken as new ones: a file is known by the path of its inbox, or by its inode, which a copy
    does not have. Costs nothing where originals do not stay and nothing was put back.
    """
    stays = any(settings.action_of(inbox) != "move" for inbox in settings.inboxes)
    inboxes = [os.fspath(inbox) for inbox in settings.inboxes]
    for entry in prefixes.elsewhere(engine, inboxes, stays, MOST):
        for inbox in inboxes:
            if _is_there(entry, os.fsencode(inbox)):
                base = os.fsencode(settings.base)
                old, new = apart(os.fsencode(entry.inbox), os.fsencode(inbox), base)
                raise SettingsError(
                    f"{inbox}: has photos that were taken from {escape(os.fsencode(entry.inbox))}, such as "
                    f"{escape(entry.source)}; so that they are not taken again, stop any worker there, and "
                    f"run `pawsort relocate {escape(old)} {escape(new)}`"
                )


def apart(old: bytes, new: bytes, base: bytes) -> tuple[bytes, bytes]:
    """Return both paths without equal folders at their ends, down to `base`, the folder of the settings.

    Further folders may hold others that were not moved.
    """
    while new.startswith(base + b"/") and os.path.basename(old) == os.path.basename(new):
        old, new = os.path.dirname(old), os.path.dirname(new)
    return old, new


def _is_there(entry: Entry, inbox: bytes) -> bool:
    """Return whether the file of a row is in an inbox, where it would be taken again."""
    try:
        seen = identity(os.path.join(inbox, entry.source))
    except OSError:
        return False
    if entry.original is None:
        return entry.looks_like(*seen[2:])
    taken = from_words(entry.original)
    is_known = seen[:2] == taken[:2]
    return not is_known and seen[2] == taken[2] and same_time(seen[3], taken[3])
