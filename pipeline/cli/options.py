"""Options and helpers of commands: settings, database, types of options, and the options for recipes."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from db.schema.file_names import escape
from models.networks import recipes
from models.networks.recipes import Value
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
def database(settings: Settings, mode: Literal["read", "write"], *, moving: bool = False) -> Iterator[Engine]:
    """Open the existing database. Raises DatabaseError.

    To write where the state folder was moved away raises SettingsError, unless for the command that is
    `moving` it.
    """
    from db.connection.engine import open_database
    from pipeline.files.permissions import limited
    from pipeline.relocate.marker import refuse_moved

    if mode == "write" and not moving:
        refuse_moved(settings.state)
    with translated(), limited(settings.permissions):
        engine = open_database(settings.database_url, mode)
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def own_files(
    settings: Settings, mode: Literal["read", "write"], *, moving: bool = False
) -> Iterator[tuple[Engine, Engine]]:
    """Open the existing database twice: with the files of this machine's worker alone, and with all.

    Raises DatabaseError, also if the worker of these settings has never started; else as `database`.
    """
    from pipeline.errors import DatabaseError
    from pipeline.worker.identity import own_id, own_rows

    with database(settings, mode, moving=moving) as everyone:
        if not own_id(everyone, settings):
            raise DatabaseError(
                f"the worker of {settings.state} has no files in this database, in which there are other "
                "workers' files: it has never started. Start it; if it takes the place of another, see "
                "`pawsort workers --take-over`"
            )
        with own_rows(everyone, settings, mode) as own:
            yield own, everyone


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


# --- options of `train` for the recipe: `--recipe FILE`, `--set KEY=VALUE`, a hidden flag for each key ------


def with_recipe_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add a hidden flag for each key of a recipe, such as --learning-rate; `flags` gets those that are given.

    They were the only way to change a recipe before --set, and scripts use them.
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        flags = {key: given.pop(key) for key in recipes.KEYS}
        command(**given, flags={key: value for key, value in flags.items() if value is not None})

    own = inspect.signature(command, eval_str=True)
    kept = [each for each in own.parameters.values() if each.name != "flags"]
    parameters = [*kept, *map(_flag, recipes.KEYS)]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _flag(key: str) -> inspect.Parameter:
    kind, limits = recipes.kind_of(key), dict[str, Any]()
    if kind in (int, float):
        least, most = recipes.range_of(key)
        limits = {"min": least, "max": most}
    option = typer.Option(hidden=True, help=recipes.description_of(key), **limits)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def changes(file: Path | None, flags: Mapping[str, Value], settings: Sequence[str]) -> dict[str, Value]:
    """Return the changes to a recipe: those of the file, then flags, then --set. Raises SettingsError."""
    with translated():
        return {
            **(recipes.read(file) if file else {}),
            **flags,
            **dict(map(recipes.parsed, settings)),
        }
