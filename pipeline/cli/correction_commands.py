"""The commands that change or check filed photos: correct, undo, retry, check."""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, When, integer, load, own_files, words
from pipeline.errors import SOME_FAILED, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from models.bundle.bundle import Bundle
    from pipeline.corrections.recorded_move import Change
    from pipeline.settings.config import Settings


SAMPLE = 30
"""Photos that `check` draws at a terminal."""

LISTED = 1_000
"""Most waiting photos that `check` prints."""


def correct(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Filed photos, by their path.")],
    label: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="LABEL",
            help="The right label: one of the model, such as cat, neither, or a folder of your own.",
        ),
    ],
    config: Config = DEFAULT,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    json: Json = False,
) -> None:
    """Correct the label of photos: move them to the right folder, and record it.

    Example: pawsort correct sorted/uncertain/rex.jpg --as dog
    """
    from pipeline.corrections import correct_undo_retry

    settings = load(config)
    with own_files(settings, "write") as (own, _):
        done = correct_undo_retry.correct(
            own, settings, list(map(os.fsencode, files)), label, by or correct_undo_retry.login_name()
        )
    raise typer.Exit(_print_moves(done, json))


def undo(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    last: Annotated[int | None, integer("Revert this number of latest moves.")] = None,
    since: When = None,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    json: Json = False,
) -> None:
    """Revert moves: a corrected file returns to its former folder, a filed one to its inbox.

    What was copied or linked is removed instead, once it is checked that its original is kept.

    The worker ignores a file that was put back until it is changed or renamed.

    Example: pawsort undo --last 1
    """
    from pipeline.corrections import correct_undo_retry

    settings = load(config)
    if sum(map(bool, (files, last, since))) != 1:
        raise SettingsError("choose what to revert: FILE..., --last N or --since TIME")
    with own_files(settings, "write") as (own, _):
        done = correct_undo_retry.undo(
            own,
            settings,
            files=[os.fsencode(file) for file in files or ()],
            last=last,
            since=since,
            by=by or correct_undo_retry.login_name(),
        )
    raise typer.Exit(_print_moves(done, json))


def retry(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    reason: Annotated[str | None, words("All files that failed for this reason.")] = None,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    json: Json = False,
) -> None:
    """Retry failed files: put them back into their inbox as new arrivals.

    Example: pawsort retry --reason timeout
    """
    from db.queries.overview import failed_paths
    from pipeline.corrections import correct_undo_retry

    settings = load(config)
    if (reason is None) == (not files):
        raise SettingsError("choose what to retry: FILE... or --reason REASON")
    with own_files(settings, "write") as (own, _):
        chosen = [os.fsencode(file) for file in files or ()]
        if reason is not None:
            chosen = failed_paths(own, reason)
        done = correct_undo_retry.retry(own, settings, by or correct_undo_retry.login_name(), chosen)
    raise typer.Exit(_print_moves(done, json))


def check(
    config: Config = DEFAULT,
    sample: Annotated[
        int | None, integer("Photos to have waiting for an answer (default at a terminal: 30).", most=10_000)
    ] = None,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    json: Json = False,
) -> None:
    """Check filed photos drawn at random, and print how many are really right.

    At a terminal, asks for each. Elsewhere, and with --json, prints those that wait; `correct` answers them.

    Example: pawsort check --sample 50
    """
    from pipeline.classifier.configured_model import load_bundle
    from pipeline.cli.output import print_json
    from pipeline.spot_checks.figures import figures

    settings = load(config)
    bundle = load_bundle(settings)
    asks = not json and sys.stdin.isatty() and sys.stdout.isatty()
    wanted = sample or (SAMPLE if asks else 0)
    with own_files(settings, "write" if wanted else "read") as (own, everyone):
        waiting = _waiting(own, settings, bundle, wanted)
        if asks:
            _ask(own, settings, bundle, by)
        found = figures(everyone, settings, bundle)
    if json:
        print_json(found.as_dict() | {"photos": waiting})
    else:
        print("\n".join([*([] if asks else waiting), found.as_text()]))


def _waiting(engine: Engine, settings: Settings, bundle: Bundle, wanted: int) -> list[str]:
    """Draw photos until `wanted` wait for an answer; return the paths of those that wait."""
    from db.queries import spot_checks
    from db.schema.file_names import escape
    from pipeline.spot_checks.draw import draw

    more = wanted - spot_checks.count_waiting(engine)
    if more > 0:
        folders = set(bundle.folders.values())
        draw(engine, settings, folders, more, datetime.now(UTC), random.SystemRandom())
    waiting = spot_checks.waiting(engine, size=LISTED)
    return [escape(each.entry.path) for each in waiting if each.entry.path is not None]


def _ask(engine: Engine, settings: Settings, bundle: Bundle, by: str | None) -> None:
    from db.queries import listing
    from pipeline.corrections.correct_undo_retry import login_name
    from pipeline.corrections.own_folders import with_own_folders
    from pipeline.spot_checks.ask import Questions

    folders = with_own_folders(bundle.folders, listing.counts(engine), settings.outcomes.neither)
    Questions(engine, settings, folders, by or login_name(), input, print).ask()


def _print_moves(moves: Sequence[Change], json: bool) -> int:
    """Print the moved files, and the others with the problem; return the exit code."""
    from pipeline.cli.output import print_json

    if json:
        print_json([move.as_dict() for move in moves])
    else:
        print("\n".join(map(str, moves)) or "nothing to do")
    return SOME_FAILED if any(move.problem for move in moves) else 0
