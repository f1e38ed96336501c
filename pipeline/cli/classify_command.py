"""The command `classify`, and `run --dry-run`: classify photos without moving them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import (
    DEFAULT,
    Config,
    Format,
    Json,
    RowFormat,
    chosen_format,
    database,
    load_or_default,
)
from pipeline.errors import SOME_FAILED, SettingsError

if TYPE_CHECKING:
    from pipeline.settings.config import Settings

COLUMNS = ("path", "prediction", "confidence", "outcome", "reason", "scores", "shown", "shown_probability")
"""The columns of a CSV."""


def classify(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Photos, or folders of photos.")],
    model: Annotated[
        str | None, typer.Option(help="A bundle's name or path, or imagenet (default: as in the settings).")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights for imagenet, a .weights.h5 (default: downloaded)."),
    ] = None,
    config: Config = DEFAULT,
    format: RowFormat = Format.table,
    json: Json = False,
) -> None:
    """Classify photos; nothing is recorded or moved.

    In a folder without a config.yaml, it uses the shipped model and the default settings. The model imagenet
    has 1,000 labels; the five most likely are printed.

    Example: pawsort classify holiday/ cat.jpg --json
    """
    from pipeline.classifier import classify_files
    from pipeline.classifier.configured_model import open_bundle, open_in_force
    from pipeline.cli.output import print_json, print_rows
    from pipeline.cli.progress import counting_progress

    chosen = chosen_format(format, json)
    settings = load_or_default(config)
    if not any(map(os.path.lexists, paths)):
        raise SettingsError(f"{paths[0]}: no such file or folder")
    if model is None and weights is None:
        bundle = open_in_force(settings)
    else:
        bases = (Path.cwd(), settings.base) if model else (settings.base,)
        bundle = open_bundle(model or settings.model, bases, settings.engine, weights)
    with counting_progress("classifying") as progress:
        rows = [row.as_dict() for row in classify_files.classify(settings, paths, progress, bundle)]
    if not rows:
        print("pawsort: no photos found", file=sys.stderr)
    if chosen is Format.json:
        print_json(rows)
    else:
        of_table = ["outcome", "shown", "shown_probability"] if bundle.folders else ["names"]
        named = [row | {"names": _names(row["scores"])} for row in rows]
        print_rows(named, chosen, COLUMNS, ["path", *of_table, "reason"])
        _print_summary(Counter(row["outcome"] or "named" for row in rows))
    raise typer.Exit(SOME_FAILED if any(row["outcome"] == "failed" for row in rows) else 0)


def _names(scores: Mapping[str, float] | None) -> str:
    return ", ".join(f"{name} {score:.0%}" for name, score in (scores or {}).items())


def print_preview(settings: Settings, format: Format) -> None:
    """Print where the worker would move each file in the inboxes, and how many to which folder."""
    from pipeline.classifier.classify_files import preview
    from pipeline.cli.output import print_rows, until_reader_closes

    rows = preview(settings, _taken_before(settings))
    counts: Counter[str] = Counter()
    of_table = ["path", "destination", "shown", "shown_probability", "reason"]
    with until_reader_closes():
        print_rows(_counted(rows, counts), format, [*COLUMNS, "destination"], of_table)
    if format is not Format.json:
        _print_summary(counts)


def _taken_before(settings: Settings) -> Callable[[Path, str], bool]:
    """Return what says of a file in an inbox that it was taken before, or that another worker takes it."""
    from pipeline.originals.memory import left_alone

    return left_alone(settings, _originals_taken(settings))


def _originals_taken(settings: Settings) -> Callable[[Path, str], bool]:
    from db.connection.engine import exists
    from pipeline.originals.memory import taken_before
    from pipeline.worker.identity import own_rows

    stay = any(settings.action_of(inbox) != "move" for inbox in settings.inboxes)
    if not stay or not exists(settings.database_url):
        return lambda inbox, path: False
    with database(settings, "read") as engine, own_rows(engine, settings, "read") as own:
        return taken_before(own, settings)


def _counted(rows: Iterable[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        counts[row["outcome"]] += 1
        yield row


def _print_summary(counts: Counter[str]) -> None:
    """Print on stderr, so that stdout has only rows, how many files have which outcome."""
    total = counts.total()
    parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    if total:
        sys.stdout.flush()
        print(f"{total} {'file' if total == 1 else 'files'}: {parts}", file=sys.stderr)
