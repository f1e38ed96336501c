"""The command `doctor`: find and repair disagreements of database and folders, pack a support bundle."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, load, own_files
from pipeline.errors import PawsortError, SettingsError, translated

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pipeline.doctor.problem import Problem
    from pipeline.doctor.repair import Repair
    from pipeline.settings.config import Settings


def doctor(
    config: Config = DEFAULT,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Read every file and compare its content.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what is safe to repair; no worker may be running.")
    ] = False,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE.zip", help="Write a zip file for support, without photos.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Keep names of photos in the bundle.")] = False,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A log whose last lines are added to the bundle.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare rows, files and folders; exit 1 if they do not agree.

    With --repair, exit 1 if something is left that only you can fix.

    Example: pawsort doctor --repair
    """
    if bundle is None and (names or log):
        raise SettingsError("--names and --log need --bundle FILE.zip")
    settings = load(config)
    if repair:
        found: list[Problem] | list[Repair] = list(_repaired(settings, hashes))
        left = sum(not each.done for each in found)  # type: ignore[union-attr]
    else:
        found = list(examined(settings, hashes))
        left = len(found)
    _print(found, json)
    if bundle is not None:
        _pack(settings, bundle, found, names, log)
    raise typer.Exit(1 if left else 0)


def _print(found: list[Problem] | list[Repair], json: bool) -> None:
    from pipeline.cli.output import print_json

    if json:
        print_json([each.as_dict() for each in found])
    else:
        print("\n".join(map(str, found)) or "no problems: rows, files and folders agree")


def examined(settings: Settings, hashes: bool) -> Iterator[Problem]:
    """Yield what `doctor` finds, without changing anything. Raises DatabaseError."""
    from pipeline.doctor.check import examine

    with _database_or_none(settings) as engine:
        yield from examine(engine, settings, hashes)


def _repaired(settings: Settings, hashes: bool) -> Iterator[Repair]:
    from db.connection.engine import open_database, reserved
    from pipeline.classifier.configured_model import load_bundle, outcome_folders
    from pipeline.decision import DUPLICATES
    from pipeline.doctor import repair
    from pipeline.files.permissions import limited, own_mode
    from pipeline.worker.identity import own_rows
    from pipeline.worker.locks import worker_lock

    outcomes = (*outcome_folders(load_bundle(settings)), DUPLICATES, settings.outcomes.neither)
    if not _is_lost(settings):
        with own_files(settings, "write"):
            pass  # refuses a database of another program, or worker, before anything is locked
    with ExitStack() as stack:
        stack.enter_context(translated())
        stack.enter_context(limited(settings.permissions))
        stack.enter_context(worker_lock(settings))
        engine = open_database(
            settings.database_url,
            "worker" if _is_lost(settings) else "write",
            file_mode=own_mode(0o644),
        )
        stack.callback(engine.dispose)
        own = stack.enter_context(own_rows(engine, settings, "worker"))
        stack.enter_context(reserved(own, own_mode(0o644)))
        yield from repair.repair(own, settings, outcomes, hashes)


@contextmanager
def _database_or_none(settings: Settings) -> Iterator[Engine]:
    """Open the database, or an empty one in its place if it is missing although files were filed."""
    import tempfile

    from db.connection.engine import open_database, upgrade
    from db.connection.paths_in_urls import file_of, of_file

    if not _is_lost(settings):
        with own_files(settings, "read") as (own, _):
            yield own
        return
    print(f"there is no database at {file_of(settings.database_url)}: no file has a row", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pawsort-") as folder, translated():
        url = of_file(Path(folder) / "none.db")
        upgrade(url)
        engine = open_database(url, "read")
        try:
            yield engine
        finally:
            engine.dispose()


def _is_lost(settings: Settings) -> bool:
    """Return whether the database is missing although files were filed."""
    from db.connection.engine import exists
    from pipeline.files.folders import files_below

    with translated():
        if exists(settings.database_url):
            return False
    places = (settings.sorted, settings.spool)
    return any(True for place in places for _ in files_below(os.fsencode(place), lambda _: None))


def _pack(
    settings: Settings, path: Path, found: list[Problem] | list[Repair], names: bool, log: Path | None
) -> None:
    from pipeline.doctor import support_bundle
    from pipeline.files.permissions import limited
    from pipeline.logs import printable

    try:
        with limited(settings.permissions):
            support_bundle.pack(settings, path, [each.as_dict() for each in found], names, log)
    except FileExistsError:
        raise SettingsError(f"{path}: exists already; name another file") from None
    except OSError as error:
        kind = SettingsError if log and str(error.filename) == str(log) else PawsortError
        raise kind(f"{error.filename or path}: {error.strerror}") from error
    print(f"wrote {printable(str(path))}; check its content before you send it", file=sys.stderr)
