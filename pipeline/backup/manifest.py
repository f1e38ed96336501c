"""What a backup holds: `manifest.json` in the file itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from db.connection.snapshots import Kind, Snapshot

NAME = "manifest.json"
CONFIG = "config.yaml"
DATABASE = "database/pawsort"
STATE = "state/"
FORMAT: Literal[1] = 1
LARGEST = 10_000_000  # bytes


def _safe(name: str) -> str:
    """Return the name of a member. Raises ValueError if it could lead out of the folder it is written to."""
    parts = PurePosixPath(name).parts
    known = name in (CONFIG, DATABASE) or name.startswith(STATE)
    if not known or "\0" in name or ".." in parts or "/".join(parts) != name:
        raise ValueError(f"expected the name of a member of a backup, received {name[:100]!r}")
    return name


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Member(_Frozen):
    """Size and SHA-256 of the content of one member."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DatabaseCopy(_Frozen):
    """The copy of the database: its kind, the version of its schema, and the rows of each table."""

    kind: Kind
    revision: str
    rows: dict[str, int]

    @classmethod
    def of(cls, taken: Snapshot) -> DatabaseCopy:
        """Describe a copy."""
        return cls(kind=taken.kind, revision=taken.revision, rows=taken.rows)

    @property
    def snapshot(self) -> Snapshot:
        """The copy as `db` describes it."""
        return Snapshot(self.kind, self.revision, dict(self.rows))


class Manifest(_Frozen):
    """All that is known of a backup; `began_at` is the moment that it is of, at the earliest.

    `folders` are those of the settings then, by the name of their setting; `model` names the configured one.
    """

    format: Literal[1] = FORMAT
    pawsort: str
    began_at: datetime
    folders: dict[str, list[str]]
    model: str
    database: DatabaseCopy
    files: dict[Annotated[str, AfterValidator(_safe)], Member]

    @model_validator(mode="after")
    def _has_what_a_restore_needs(self) -> Self:
        if not {CONFIG, DATABASE} <= self.files.keys():
            raise ValueError(f"expected the members {CONFIG} and {DATABASE}")
        return self
