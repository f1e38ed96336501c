"""The commands: thin, each hands over to the room that does the work.

Data goes to stdout, messages and progress to stderr. What a command needs is imported when it runs, so that
`query` and `status` answer within a second.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import nullcontext
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import config as configuration
from pipeline.cli.classify_command import classify
from pipeline.cli.correction_commands import correct, retry, undo
from pipeline.cli.doctor_command import doctor
from pipeline.cli.model_commands import evaluate, train
from pipeline.cli.options import DEFAULT, Config, Json, When, database, day_option, integer, load, real, words
from pipeline.cli.serve_command import require_pages, serve
from pipeline.errors import DatabaseError, PawsortError, SettingsError, translated
from pipeline.logs import printable_lines

if TYPE_CHECKING:
    from pipeline.config import Settings

app = typer.Typer(
    name="pawsort",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Drop pet photos into a folder; find them sorted, recorded and reported.",
)
config_app = typer.Typer(help="Check the settings, or show what is in force.")
db_app = typer.Typer(help="Look after the database.")
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")


MOST_DAYS = 3_660
"""Reports of so many days are written at once."""

Once = Annotated[bool, typer.Option("--once", help="File what is there, then end.")]
Serve = Annotated[bool, typer.Option("--serve", help="Show the pages too, as `pawsort serve` does.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def main() -> None:
    """Run a command and exit with its code; whatever is the user's to mend is one clear message."""
    try:
        code = app(prog_name="pawsort", standalone_mode=False)
    except PawsortError as error:
        _complain(str(error))
        code = error.exit_code
    except typer.TyperException as error:
        _complain(f"{' '.join(error.format_message().split()).rstrip('.')}; see --help")
        code = SettingsError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 128 + signal.SIGINT
    except OSError as error:
        _complain(f"{error.filename or 'cannot go on'}: {error.strerror}")
        code = PawsortError.exit_code
    sys.exit(code or 0)


def _complain(message: str) -> None:
    print(f"pawsort: {printable_lines(message)}", file=sys.stderr)


@app.callback(invoke_without_command=True)
def door(
    context: typer.Context,
    config: Config = DEFAULT,
    once: Once = False,
    dry_run: DryRun = False,
    pages: Serve = False,
) -> None:
    """Drop pet photos into a folder; find them sorted, recorded and reported.

    Without a command, the worker runs.
    """
    if context.invoked_subcommand is None:
        raise typer.Exit(_run(config, once, dry_run, pages))
    if once or dry_run or pages:
        raise SettingsError("--once, --dry-run and --serve belong to `run`: pawsort run --once")


@app.command()
def run(config: Config = DEFAULT, once: Once = False, dry_run: DryRun = False, pages: Serve = False) -> None:
    """Run the worker: watch the inboxes and sort what arrives.

    Example: pawsort run --once
    """
    raise typer.Exit(_run(config, once, dry_run, pages))


def _run(config: Path, once: bool, dry_run: bool, pages: bool) -> int:
    from pipeline.classifier.classify_files import preview
    from pipeline.cli.output import print_table
    from pipeline.cli.progress import filing_progress
    from pipeline.worker import service
    from pipeline.worker.web_process import pages_beside

    settings = load(config)
    if pages and (once or dry_run):
        raise SettingsError("--serve is for a worker that stays; leave out --once and --dry-run")
    if pages:
        require_pages()
    if dry_run:
        print_table(preview(settings), ["path", "destination", "prediction", "confidence", "reason"])
        return 0
    with filing_progress(show=once) as on_filed:
        beside = pages_beside(config) if pages else nullcontext()
        return service.run(settings, once=once, on_filed=on_filed, beside=beside)


@app.command()
def query(
    config: Config = DEFAULT,
    outcome: Annotated[str | None, words("A folder, waiting or undone.")] = None,
    prediction: Annotated[str | None, words("A label of the model, such as cat.")] = None,
    inbox: Annotated[str | None, typer.Option(help="The inbox it came from.")] = None,
    name: Annotated[str | None, words("A part of the file's name.")] = None,
    min_confidence: Annotated[float | None, real("At least.")] = None,
    max_confidence: Annotated[float | None, real("At most.")] = None,
    since: When = None,
    until: When = None,
    limit: Annotated[int | None, integer("At most so many rows, the newest first.")] = None,
    format: Annotated[Format, typer.Option(help="How to print them.")] = Format.table,
    json: Json = False,
) -> None:
    """List rows of the database, the newest first.

    Example: pawsort query --outcome uncertain --max-confidence 0.7 --format csv
    """
    from db.queries import listing
    from pipeline.cli import output

    settings = load(config)
    if json and format is not Format.table:
        raise SettingsError(f"--json and --format {format} are two formats; give one of them")
    wanted = listing.ResultFilter(
        outcome=outcome,
        prediction=prediction,
        inbox=os.path.abspath(inbox) if inbox else None,
        name=name,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
        since=since,
        until=until,
        limit=limit,
    )
    with database(settings, "read") as engine, output.until_the_reader_leaves():
        rows = listing.results(engine, wanted)
        if json or format is Format.json:
            output.print_json_rows(rows)
        elif format is Format.csv:
            output.print_csv(rows, listing.RESULT_COLUMNS)
        else:
            output.print_table(rows, ["id", "outcome", "prediction", "confidence", "reason", "path"])


@app.command()
def report(
    config: Config = DEFAULT,
    day: Annotated[date | None, day_option("--date", "One day, as 2026-11-21.")] = None,
    first: Annotated[date | None, day_option("--from", "The first of several.")] = None,
    last: Annotated[date | None, day_option("--to", "The last of several.")] = None,
    json: Json = False,
) -> None:
    """Write the reports of a day or a range now; without one, of today so far.

    Example: pawsort report --from 2026-11-01 --to 2026-11-30
    """
    from pipeline.cli.output import print_json
    from pipeline.worker.service import reporter

    settings = load(config)
    if day and (first or last):
        raise SettingsError("--date is one day, --from and --to are several; give the one or the others")
    today = datetime.now(settings.report.zone).date()
    begin, end = day or first or today, day or last or today
    if end > today:
        raise SettingsError(f"{end} is yet to come; the last day to report on is {today}")
    if begin > end:
        raise SettingsError(f"--from {begin} is after --to {end}")
    if (end - begin).days >= MOST_DAYS:
        raise SettingsError(f"--from {begin} --to {end} are more than {MOST_DAYS:,} days; give fewer at once")
    with database(settings, "write") as engine:
        try:
            written = reporter(settings, engine).write_range(begin, end, datetime.now(UTC))
        except OSError as error:
            raise PawsortError(f"{settings.reports}: reports cannot be written: {error}") from error
    paths = [str(path) for each in written for path in each.paths]
    if json:
        print_json(paths)
    else:
        print("\n".join(paths))


@app.command()
def status(
    config: Config = DEFAULT,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless a worker is well and at work.")
    ] = False,
) -> None:
    """Say what the worker is doing, and how many files went where.

    Example: pawsort status --check || systemctl restart pawsort
    """
    from pipeline.cli.output import print_json
    from pipeline.worker import status as statuses

    settings = load(config)
    if _is_new(settings):
        seen = statuses.read(settings, None)
    else:
        try:
            with database(settings, "read") as engine:
                seen = statuses.read(settings, engine)
        except DatabaseError as error:
            # What the worker is doing is wanted most when its database is not to be had.
            seen = statuses.read(settings, None, str(error))
    if json:
        print_json(seen.as_dict())
    else:
        print(seen.as_text())
    raise typer.Exit(DatabaseError.exit_code if seen.problem else 0 if seen.well or not check else 1)


for _command in (doctor, classify, correct, undo, retry, train, evaluate, serve):
    app.command()(_command)


@config_app.command("check")
def config_check(config: Config = DEFAULT) -> None:
    """Check the settings; exit 2 and say what is wrong if something is.

    Example: pawsort config check --config /etc/pawsort/config.yaml
    """
    from db.connection.engine import check_url
    from pipeline.classifier.configured_model import load_bundle
    from pipeline.permissions import exposed

    settings = load(config)
    with translated():
        check_url(settings.database_url)
    load_bundle(settings)
    for note in exposed(settings):
        print(f"pawsort: {note}", file=sys.stderr)
    print(f"{config}: all is well")


@config_app.command("show")
def config_show(config: Config = DEFAULT, json: Json = False) -> None:
    """Print the settings in force, the environment included, with absolute paths.

    Example: pawsort config show --json
    """
    import yaml

    from pipeline.cli.output import print_json

    values = load(config).model_dump(mode="json")
    for section, key in [(values["web"], "token"), (values, "database")]:
        section[key] = configuration.masked(section[key])
    if json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")


@db_app.command("upgrade")
def db_upgrade(config: Config = DEFAULT) -> None:
    """Make the database, or bring it to this version.

    Example: pawsort db upgrade
    """
    from db.connection.engine import upgrade
    from pipeline.permissions import limited

    settings = load(config)
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    with translated(), limited(settings.permissions):
        settings.state.mkdir(exist_ok=True)
        upgrade(settings.database_url)
    print("the database is up to date")


def _is_new(settings: Settings) -> bool:
    """Tell a place where no worker has been from one whose database is gone."""
    traces = (settings.state / "pawsort.db", settings.state / "heartbeat.json")
    return settings.database is None and not any(trace.exists() for trace in traces)
