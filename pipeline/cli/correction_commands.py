"""The commands that take part in what is filed: correct it, or take it back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, When, database, integer, load, words
from pipeline.errors import SOME_FAILED, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.corrections.mover import Change


def correct(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Filed photos, by their path.")],
    label: Annotated[
        str,
        typer.Option(
            "--as", metavar="LABEL", help="What it is: a label of the model, such as cat, or neither."
        ),
    ],
    config: Config = DEFAULT,
    by: Annotated[str | None, words("Who says so (default: you).")] = None,
    json: Json = False,
) -> None:
    """Say what is really on photos: move them to the right folder, and remember it.

    Example: pawsort correct sorted/uncertain/rex.jpg --as dog
    """
    from pipeline.corrections import corrections

    settings = load(config)
    with database(settings, "write") as engine:
        done = corrections.correct(
            engine, settings, list(map(os.fsencode, files)), label, by or corrections.login_name()
        )
    raise typer.Exit(_print_moves(done, json))


def undo(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    last: Annotated[int | None, integer("The last so many moves.")] = None,
    since: When = None,
    by: Annotated[str | None, words("Who says so (default: you).")] = None,
    json: Json = False,
) -> None:
    """Take moves back: a correction to where the file was before, a filing into its inbox.

    The worker leaves a file that was put back alone until it is changed or renamed.

    Example: pawsort undo --last 1
    """
    from pipeline.corrections import corrections

    settings = load(config)
    if sum(map(bool, (files, last, since))) != 1:
        raise SettingsError("say what to take back: FILE..., --last N or --since TIME")
    with database(settings, "write") as engine:
        done = corrections.undo(
            engine,
            settings,
            files=[os.fsencode(file) for file in files or ()],
            last=last,
            since=since,
            by=by or corrections.login_name(),
        )
    raise typer.Exit(_print_moves(done, json))


def retry(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Only these files.")] = None,
    config: Config = DEFAULT,
    reason: Annotated[str | None, words("All that failed for this reason.")] = None,
    by: Annotated[str | None, words("Who says so (default: you).")] = None,
    json: Json = False,
) -> None:
    """Send files that failed in again: back to their inbox, as if they had just arrived.

    Example: pawsort retry --reason timeout
    """
    from db.queries.overview import failed_paths
    from pipeline.corrections import corrections

    settings = load(config)
    if (reason is None) == (not files):
        raise SettingsError("say what to try again: FILE... or --reason REASON")
    with database(settings, "write") as engine:
        chosen = [os.fsencode(file) for file in files or ()]
        if reason is not None:
            chosen = failed_paths(engine, reason)
        done = corrections.retry(engine, settings, by or corrections.login_name(), chosen)
    raise typer.Exit(_print_moves(done, json))


def _print_moves(moves: Sequence[Change], json: bool) -> int:
    """Print what was moved, and what was not and why; return the exit code."""
    from pipeline.cli.output import print_json

    if json:
        print_json([move.as_dict() for move in moves])
    else:
        print("\n".join(map(str, moves)) or "nothing to do")
    return SOME_FAILED if any(move.problem for move in moves) else 0
