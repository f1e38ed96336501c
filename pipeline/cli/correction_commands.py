"""The commands that change or check filed photos: correct, undo, retry, check."""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, When, integer, load, own_files, real, words
from pipeline.errors import SOME_FAILED, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from db.ledger.requests import RequestKind
    from models.bundle.bundle import Bundle
    from pipeline.corrections.recorded_move import Change
    from pipeline.settings.config import Settings


SAMPLE = 30
"""Photos that `check` draws at a terminal."""

LISTED = 1_000
"""Most waiting photos that `check` prints."""


Worker = Annotated[
    str | None,
    words("The files are those of this worker, on whatever machine: its paths, or names without a slash."),
]
Wait = Annotated[
    float | None,
    real("Seconds to wait until other machines have done it.", most=86_400),
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a command wants of files, for those of other workers too."""

    kind: RequestKind
    files: Sequence[str]
    by: str | None
    worker: str | None
    wait: float | None
    json: bool
    label: str | None = None


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
    worker: Worker = None,
    wait: Wait = None,
    json: Json = False,
) -> None:
    """Correct the label of photos: move them to the right folder, and record it.

    A photo of another machine is corrected by its worker, to which this is sent.

    Example: pawsort correct sorted/uncertain/rex.jpg --as dog
    """
    from pipeline.corrections import correct_undo_retry

    settings = load(config)

    def here(own: Engine, mine: list[bytes], name: str) -> list[Change]:
        return correct_undo_retry.correct(own, settings, mine, label, name)

    raise typer.Exit(_change(settings, _Wish("correct", files, by, worker, wait, json, label), here))


def undo(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    last: Annotated[int | None, integer("Revert this number of latest moves.")] = None,
    since: When = None,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    worker: Worker = None,
    wait: Wait = None,
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

    def here(own: Engine, mine: list[bytes], name: str) -> list[Change]:
        return correct_undo_retry.undo(own, settings, name, mine, last, since)

    raise typer.Exit(_change(settings, _Wish("undo", files or (), by, worker, wait, json), here))


def retry(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    reason: Annotated[str | None, words("All files that failed for this reason.")] = None,
    by: Annotated[str | None, words("Name to record (default: your user name).")] = None,
    worker: Worker = None,
    wait: Wait = None,
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

    def here(own: Engine, mine: list[bytes], name: str) -> list[Change]:
        chosen = mine if reason is None else failed_paths(own, reason)
        return correct_undo_retry.retry(own, settings, name, chosen)

    raise typer.Exit(_change(settings, _Wish("retry", files or (), by, worker, wait, json), here))


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


def _change(settings: Settings, wish: _Wish, here: Callable[[Engine, list[bytes], str], list[Change]]) -> int:
    """Change one's own files by `here`, send requests for the others; print both, return the exit code."""
    from pipeline.corrections.correct_undo_retry import login_name
    from pipeline.requests.asking import Asker
    from pipeline.requests.by_path import sent, told_apart, troubles
    from pipeline.worker.identity import own_id

    name, files = wish.by or login_name(), [os.fsencode(file) for file in wish.files]
    with own_files(settings, "write") as (own, everyone):
        id = own_id(everyone, settings)
        named = told_apart(everyone, id, files, wish.worker, wish.kind)
        done = here(own, named.mine, name) if named.mine or not files else []
        asker = Asker(everyone, id, name, "command")
        done += sent(asker, named, wish.kind, wish.label, wish.wait)
        for trouble in troubles(everyone, done, datetime.now(UTC)):
            print(f"pawsort: {trouble}", file=sys.stderr)
    code = _print_moves(done, wish.json)
    unanswered = wish.wait is not None and any(change.request is not None for change in done)
    return SOME_FAILED if unanswered else code


def _print_moves(moves: Sequence[Change], json: bool) -> int:
    """Print the moved files, and the others with the problem; return the exit code."""
    from pipeline.cli.output import print_json

    if json:
        print_json([move.as_dict() for move in moves])
    else:
        print("\n".join(map(str, moves)) or "nothing to do")
    return SOME_FAILED if any(move.problem for move in moves) else 0
