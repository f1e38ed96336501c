"""Databases of earlier versions of Pawsort."""

from __future__ import annotations

import pytest
from alembic import command

from db.connection.engine import upgrade
from db.migrations import REVISIONS


def make_old(url: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database as the Pawsort of that version did."""
    with monkeypatch.context() as patch:
        newest = command.upgrade
        patch.setattr(command, "upgrade", lambda config, _: newest(config, version))
        patch.setattr("db.connection.versions.REVISIONS", REVISIONS[: REVISIONS.index(version) + 1])
        upgrade(url)
