"""How SQLite would answer what is asked of it: through which index, with what sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event


def plans(engine: Engine, ask: Callable[[], Any]) -> list[str]:
    """Return the steps of the plans of all statements that `ask` runs."""
    seen: list[tuple[str, Any]] = []

    def _note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        seen.append((statement, values))

    event.listen(engine, "before_cursor_execute", _note)
    ask()
    event.remove(engine, "before_cursor_execute", _note)
    with engine.connect() as connection:
        asked = [(s, v) for s, v in seen if s.startswith(("SELECT", "UPDATE"))]
        return [row[3] for s, v in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", v)]
