"""Rows of a summary that was written; light to import: without pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])


def by_inbox(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Yield each row with its inbox, behind the name of its worker where there are several.

    Summaries of before there could be several have no column `worker`.
    """
    several = len({row.get("worker") or "" for row in rows}) > 1
    for row in rows:
        worker = row.get("worker") if several else None
        yield f"{worker}: {row['inbox']}" if worker else str(row["inbox"]), row
