"""A finding of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from db.schema.file_names import escape
from pipeline.corrections.relocation import Relocation
from pipeline.logs import printable

Kind = Literal[
    "database",
    "folder",
    "missing",
    "moved",
    "companion",
    "superseded",
    "changed",
    "unreadable",
    "unfinished",
    "pending",
    "unrecorded",
    "orphan",
    "leftover",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One disagreement; `message` says what is wrong and what to do."""

    kind: Kind
    path: bytes
    id: int | None
    message: str
    relocation: Relocation | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, the path in its readable form."""
        plain = {"kind": self.kind, "path": escape(self.path), "id": self.id, "message": self.message}
        return plain | ({"now": escape(self.relocation.new)} if self.relocation else {})

    def __str__(self) -> str:
        return printable(f"{self.kind}: {escape(self.path)} {self.message}")
