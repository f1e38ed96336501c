"""Which keyword a filed photo should have in its sidecar, in SQL and in Python."""

from __future__ import annotations

NO_KEYWORD = ("uncertain", "failed", "duplicates")
"""Folders whose photos have no answer to write into their sidecars."""
_WANTED = (
    f"CASE WHEN outcome IN {NO_KEYWORD} OR coalesce(corrected_to, prediction, 'neither') = 'neither' THEN '' "
    "ELSE coalesce(corrected_to, prediction) END"
)
IS_KEYWORD_DUE = f"state = 'filed' AND keyword <> {_WANTED}"


def wanted_keyword(outcome: str | None, corrected_to: str | None, prediction: str | None) -> str:
    """Return the keyword for a filed photo, as IS_KEYWORD_DUE has it; "" for none."""
    label = corrected_to or prediction or "neither"
    return "" if outcome in NO_KEYWORD or label == "neither" else label
