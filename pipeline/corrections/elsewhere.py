"""Refuse files that another worker has: their folders are on its machine."""

from __future__ import annotations

import os

from sqlalchemy import Engine

from db.queries.workers import having_id, having_path
from pipeline.corrections.refused import RefusedError

_ADVICE = "give --worker with the name to send it there, or ask for it on the pages"


def refuse_others(engine: Engine, file: bytes | int) -> None:
    """Raise RefusedError with the name of the worker that has a file, by its path, name or id.

    `engine` has the files of this machine's worker, among which the file was not found.
    """
    found = having_id(engine, file) if isinstance(file, int) else having_path(engine, os.path.abspath(file))
    if not found and isinstance(file, bytes) and b"/" not in file:
        found = having_path(engine, file, is_name=True)
    if len(found) == 1:
        raise RefusedError(f"is a photo of the worker {found[0]}, on another machine; {_ADVICE}")
    if found:
        raise RefusedError(f"is a photo of the workers {', '.join(found)}, on other machines; {_ADVICE}")
