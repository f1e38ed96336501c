"""Options and helpers that several commands use: settings, database, types of options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from db.schema.file_names import escape
from pipeline.errors import SettingsError, translated
from pipeline.settings import config as configuration
from pipeline.settings.ranges import FIRST_DAY, LARGEST_INTEGER, LAST_DAY, to_utc, within

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pipeline.settings.config import Settings


def _inherited(context: typer.Context, value: Path | None) -> Path:
    """Let `pawsort --config X query` mean the same as `pawsort query --config X`."""
    root = context.find_root()
    root.obj = value or root.obj or _of_environment() or UNNAMED
    found: Path = root.obj
    return found


def _of_environment() -> Path | None:
    named = os.environ.get(configuration.FILE_VARIABLE)
    return Path(named) if named else None


UNNAMED = Path(configuration.FILE_NAME)
"""The settings file if none is named; recognised by identity, so that a named `config.yaml` differs."""


Config = Annotated[
    Path,
    typer.Option(
        "--config",
        metavar="PATH",
        callback=_inherited,
        help="The settings file (default: what PAWSORT_CONFIG names, else config.yaml).",
    ),
]
DEFAULT: Any = None
"""Default of `Config`, which `_inherited` replaces by a path."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Format(StrEnum):
    """Formats of rows."""

    table = "table"
    csv = "csv"
    json = "json"


RowFormat = Annotated[Format, typer.Option(help="Format of the rows.")]


def chosen_format(format: Format, json: bool) -> Format:
    """Return the format that `--format` and `--json` mean together. Raises SettingsError for two."""
    if json and format is not Format.table:
        raise SettingsError(f"--json and --format {format} are two formats; give one of them")
    return Format.json if json else format


def load(config: Path) -> Settings:
    """Read the settings, and set up the log accordingly. Raises SettingsError."""
    from pipeline import logs

    settings = configuration.load(config)
    logs.set_up(settings.log.format, settings.log.level)
    return settings


def load_or_default(config: Path) -> Settings:
    """Read the settings as `load` does; return the defaults if no file was named and none exists."""
    from pipeline import logs

    if config is not UNNAMED or os.path.lexists(config):
        return load(config)
    settings = configuration.defaults(Path.cwd())
    logs.set_up(settings.log.format, settings.log.level)
    return settings


@contextmanager
def database(settings: Settings, mode: Literal["read", "write"]) -> Iterator[Engine]:
    """Open the existing database. Raises DatabaseError."""
    from db.connection.engine import open_database
    from pipeline.files.permissions import limited

    with translated(), limited(settings.permissions):
        engine = open_database(settings.database_url, mode)
        try:
            yield engine
        finally:
            engine.dispose()


def read_moment(text: str) -> datetime:
    """Parse a time, which is in UTC unless it has an offset. Raises BadParameter."""
    try:
        return to_utc(datetime.fromisoformat(text))
    except ValueError:
        how = f"write 2026-11-21 or 2026-11-21T08:00+01:00, in the years {FIRST_DAY.year} to {LAST_DAY.year}"
        raise typer.BadParameter(f"{text[:40]!r} is not a time; {how}") from None


def read_clock(text: str) -> datetime:
    """Parse a time by a camera's clock, which has no offset. Raises BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
        within(moment.date())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        how = "write 2024-01-31 or 2024-01-31T10:15, by the camera's clock, without an offset"
        raise typer.BadParameter(f"{text[:40]!r} is not such a time; {how}")
    return moment


def read_day(text: str) -> date:
    """Parse a day. Raises BadParameter."""
    try:
        return within(date.fromisoformat(text))
    except ValueError:
        how = f"write 2026-11-21, in the years {FIRST_DAY.year} to {LAST_DAY.year}"
        raise typer.BadParameter(f"{text[:40]!r} is not a day; {how}") from None


def integer(help: str, least: int = 1, most: int = LARGEST_INTEGER) -> Any:
    """Return an option for integers from `least` to `most`."""
    return typer.Option(min=least, max=most, help=help)


def real(help: str, least: float = 0, most: float = 1) -> Any:
    """Return an option for numbers from `least` to `most`, which excludes NaN and infinity."""
    return typer.Option(min=least, max=most, help=help)


def words(help: str, **more: Any) -> Any:
    """Return an option for text; invalid UTF-8 is escaped as in `db.schema.file_names`."""
    return typer.Option(help=help, callback=_readable, **more)


def _readable(text: str | None) -> str | None:
    if text is None or not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    return escape(os.fsencode(text))


def day_option(name: str, help: str) -> Any:
    """Return an option for a day."""
    return typer.Option(name, metavar="DAY", parser=read_day, help=help)


When = Annotated[
    datetime | None,
    typer.Option(metavar="TIME", parser=read_moment, help="A day or time, as 2026-11-21T08:00; UTC."),
]

Taken = Annotated[
    datetime | None,
    typer.Option(
        metavar="TIME", parser=read_clock, help="A day or time by the camera's clock, as 2024-01-31T10:15."
    ),
]
