"""What the commands share: where their settings come from, and the words of their options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline import config as configuration
from pipeline.errors import SettingsError, translated

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pipeline.config import Settings


def _inherited(context: typer.Context, value: Path | None) -> Path:
    """Let `pawsort --config X query` mean the same as `pawsort query --config X`."""
    root = context.find_root()
    root.obj = value or root.obj or UNNAMED
    found: Path = root.obj
    return found


UNNAMED = Path("config.yaml")
"""The settings file where none is named; told from one that was named by identity."""


Config = Annotated[
    Path,
    typer.Option(
        "--config", metavar="PATH", callback=_inherited, help="The settings file (default: config.yaml)."
    ),
]
DEFAULT: Any = None
"""What `_inherited` makes a path of."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
When = Annotated[str | None, typer.Option(metavar="TIME", help="A day or time, as 2026-11-21T08:00; UTC.")]


def load(config: Path) -> Settings:
    """Read the settings, and log as they say. Raises SettingsError."""
    from pipeline import logs

    settings = configuration.load(config)
    logs.set_up(settings.log)
    return settings


def load_or_default(config: Path) -> Settings:
    """Read the settings as `load` does; where no file was named and none is here, return the defaults."""
    from pipeline import logs

    if config is not UNNAMED or os.path.lexists(config):
        return load(config)
    settings = configuration.defaults(Path.cwd())
    logs.set_up(settings.log)
    return settings


@contextmanager
def database(settings: Settings, mode: Literal["read", "write"]) -> Iterator[Engine]:
    """Open the database that the worker has made. Raises DatabaseError."""
    from db.engine import open_database
    from pipeline.permissions import limited

    with translated(), limited(settings.permissions):
        engine = open_database(settings.database_url, mode)
        try:
            yield engine
        finally:
            engine.dispose()


def moment(text: str | None) -> datetime | None:
    """Read a time, of UTC unless it says otherwise. Raises SettingsError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no time; write 2026-11-21 or 2026-11-21T08:00+01:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_day(text: str | None) -> date | None:
    """Read a day. Raises SettingsError."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no day; write 2026-11-21") from None
