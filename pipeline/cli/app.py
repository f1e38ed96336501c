"""The command line: the application, the commands `run` and `status`, and the exit codes.

A command only reads its options and calls the package that does the work. Data goes to stdout, messages and
progress to stderr. A command imports its packages when it runs, so that `query` and `status` answer within a
second.
"""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.classify_command import classify, print_preview
from pipeline.cli.correction_commands import check, correct, retry, undo
from pipeline.cli.doctor_command import doctor
from pipeline.cli.model_commands import evaluate, train
from pipeline.cli.options import (
    DEFAULT,
    Config,
    Format,
    Json,
    RowFormat,
    chosen_format,
    database,
    load,
)  # fmt: skip
from pipeline.cli.query_command import export, query
from pipeline.cli.report_command import report
from pipeline.cli.serve_command import require_pages, serve
from pipeline.cli.setup_commands import config_app, db_app, init, learn, models, notify, promote, rollback
from pipeline.cli.upkeep_commands import backup, keep, relocate, restore, workers
from pipeline.errors import DatabaseError, PawsortError, SettingsError
from pipeline.logs import printable_lines

if TYPE_CHECKING:
    from pipeline.settings.config import Settings

app = typer.Typer(
    name="pawsort",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Drop pet photos into a folder; find them sorted, recorded and reported.",
)
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")


Once = Annotated[bool, typer.Option("--once", help="File what is in the inboxes, then exit.")]
Serve = Annotated[bool, typer.Option("--serve", help="Serve the pages too, as `pawsort serve` does.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from pipeline.version import version

        print(f"pawsort {version()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, then exit."),
]


def main() -> None:
    """Run a command and exit with its code; print an error that the user can fix as one message."""
    try:
        code = app(prog_name="pawsort", standalone_mode=False)
    except PawsortError as error:
        _print_error(str(error))
        code = error.exit_code
    except typer.TyperException as error:
        _print_error(f"{' '.join(error.format_message().split()).rstrip('.')}; see --help")
        code = SettingsError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 128 + signal.SIGINT
    except ImportError as error:
        from pipeline.child_failures import advice

        said = f"a library cannot be loaded: {error}"
        _print_error(". ".join(filter(None, (said, advice(said)))))
        code = PawsortError.exit_code
    except OSError as error:
        _print_error(f"{error.filename or 'cannot continue'}: {error.strerror}")
        code = PawsortError.exit_code
    sys.exit(code or 0)


def _print_error(message: str) -> None:
    print(f"pawsort: {printable_lines(message)}", file=sys.stderr)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    config: Config = DEFAULT,
    once: Once = False,
    dry_run: DryRun = False,
    pages: Serve = False,
    version: Version = False,  # noqa: ARG001 - its callback prints
) -> None:
    """Drop pet photos into a folder; find them sorted, recorded and reported.

    Without a command, the worker runs.
    """
    if context.invoked_subcommand is None:
        raise typer.Exit(_run(config, once, dry_run, pages))
    if once or dry_run or pages:
        raise SettingsError("--once, --dry-run and --serve are options of `run`: pawsort run --once")


@app.command()
def run(
    config: Config = DEFAULT,
    once: Once = False,
    dry_run: DryRun = False,
    pages: Serve = False,
    format: RowFormat = Format.table,
    json: Json = False,
) -> None:
    """Run the worker: watch the inboxes and sort what arrives.

    Example: pawsort run --once
    """
    chosen = chosen_format(format, json)
    if chosen is not Format.table and not dry_run:
        raise SettingsError("--json and --format are of the rows that --dry-run prints; add --dry-run")
    raise typer.Exit(_run(config, once, dry_run, pages, chosen))


def _run(config: Path, once: bool, dry_run: bool, pages: bool, format: Format = Format.table) -> int:
    from models import working_folder
    from pipeline.cli.progress import filing_progress
    from pipeline.import_path import interpreter
    from pipeline.learning.nightly import NICENESS
    from pipeline.service import service
    from pipeline.web.web_process import pages_beside

    settings = load(config)
    if pages and (once or dry_run):
        raise SettingsError("--serve needs a worker that keeps running; leave out --once and --dry-run")
    if pages:
        require_pages()
    if dry_run:
        print_preview(settings, format)
        return 0
    with filing_progress(show=once) as on_filed:
        beside = pages_beside(config.absolute()) if pages else nullcontext()
        path = config.absolute()
        learn = [*interpreter(NICENESS), "learn", "--config", str(path)]
        _welcome(settings, pages, once)
        working_folder.leave()
        return service.run(settings, once=once, on_filed=on_filed, beside=beside, learn=learn, config=path)


def _welcome(settings: Settings, pages: bool, once: bool) -> None:
    """Print the first steps on a terminal, where a person has started a worker that keeps running."""
    from pipeline.setup.first_steps import first_steps

    if sys.stderr.isatty() and not once:
        print(printable_lines(first_steps(settings, pages)), file=sys.stderr)


@app.command()
def status(
    config: Config = DEFAULT,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless a worker is running and healthy.")
    ] = False,
) -> None:
    """Print the state of the worker, and how many files are in each folder.

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
            # The state of the worker matters most when its database cannot be used.
            seen = statuses.read(settings, None, str(error))
    if json:
        print_json(seen.as_dict())
    else:
        print(seen.as_text())
    raise typer.Exit(DatabaseError.exit_code if seen.problem else 0 if seen.well or not check else 1)


for _command in (
    init, query, export, report, doctor, classify, correct, undo, retry, check, learn, models, promote,
    rollback, train, evaluate, serve, notify, backup, restore, relocate, keep, workers,
):  # fmt: skip
    app.command()(_command)


def _is_new(settings: Settings) -> bool:
    """Return whether no worker has run here yet; otherwise the database is missing."""
    traces = (settings.state / "pawsort.db", settings.state / "heartbeat.json")
    return settings.database is None and not any(trace.exists() for trace in traces)
