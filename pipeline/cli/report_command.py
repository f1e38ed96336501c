"""The command `report`: write reports now."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from models.errors import in_words
from pipeline.cli.options import DEFAULT, Config, Json, database, day_option, load
from pipeline.errors import PawsortError, SettingsError

MOST_DAYS = 3_660
"""Largest number of days of one command."""


def report(
    config: Config = DEFAULT,
    day: Annotated[date | None, day_option("--date", "One day, as 2026-11-21.")] = None,
    first: Annotated[date | None, day_option("--from", "The first day of several.")] = None,
    last: Annotated[date | None, day_option("--to", "The last day of several.")] = None,
    so_far: Annotated[bool, typer.Option("--today", help="Today so far, as without options.")] = False,
    json: Json = False,
) -> None:
    """Write the reports of a day or a range now; without options, of today so far.

    Example: pawsort report --from 2026-11-01 --to 2026-11-30
    """
    from pipeline.cli.printing.output import print_json
    from pipeline.service.reporting import reporter

    settings = load(config)
    if so_far + bool(day) + bool(first or last) > 1:
        raise SettingsError(
            "--date and --today are one day, --from and --to are several; "
            "use either --date or the others, or --today"
        )
    today = datetime.now(settings.report.zone).date()
    begin, end = day or first or today, day or last or today
    if end > today:
        raise SettingsError(f"{end} is in the future; the last possible day is {today}")
    if begin > end:
        raise SettingsError(f"--from {begin} is after --to {end}")
    if (end - begin).days >= MOST_DAYS:
        raise SettingsError(f"--from {begin} --to {end} are more than {MOST_DAYS:,} days; give fewer at once")
    with database(settings, "write") as engine:
        try:
            writer, now = reporter(settings, engine), datetime.now(UTC)
            written = writer.write_range(begin, end, now)
            periods = writer.write_periods(begin, end, now)
        except OSError as error:
            raise PawsortError(f"{settings.reports}: reports cannot be written: {in_words(error)}") from error
    paths = [str(path) for each in written for path in each.paths] + [str(path) for path in periods]
    if json:
        print_json(paths)
    else:
        print("\n".join(paths))
