"""Refuse to move a filed photo that is not what was filed any more."""

from __future__ import annotations

import os

from db.ledger.ledger import Entry
from pipeline.corrections import made_files
from pipeline.corrections.refused import RefusedError
from pipeline.files import moves


def refuse_changed(entry: Entry) -> None:
    """Raise RefusedError if the file at the path of a row is gone, or has changed since it was filed."""
    assert entry.path is not None
    if entry.link is not None:
        if not os.path.lexists(entry.path):
            raise RefusedError("is missing; put it back and try again")
        if not made_files.is_link_of(entry):
            raise RefusedError("is no longer the link that was made; nothing was moved")
        return
    try:
        size = moves.identity(entry.path)[2]
        same = size == entry.bytes and (not entry.sha256 or moves.sha256(entry.path) == entry.sha256)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedError("is missing; put it back and try again") from error
    if not same:
        raise RefusedError("its content has changed since it was filed; nothing was moved")
