"""The command `classify`: classify photos without moving them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, load_or_default
from pipeline.errors import SOME_FAILED, SettingsError


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
    json: Json = False,
) -> None:
    """Classify photos; nothing is recorded or moved.

    In a folder without a config.yaml, it uses the shipped model and the default settings. The model imagenet
    has 1,000 labels; the five most likely are printed.

    Example: pawsort classify holiday/ cat.jpg --json
    """
    from pipeline.classifier import classify_files
    from pipeline.classifier.configured_model import open_bundle, open_in_force
    from pipeline.cli.output import print_json, print_table
    from pipeline.cli.progress import counting_progress

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
    if json:
        print_json(rows)
    else:
        columns = ["outcome", "prediction", "confidence", "reason"] if bundle.folders else ["names", "reason"]
        print_table([row | {"names": _names(row["scores"])} for row in rows], ["path", *columns])
    raise typer.Exit(SOME_FAILED if any(row["outcome"] == "failed" for row in rows) else 0)


def _names(scores: Mapping[str, float] | None) -> str:
    return ", ".join(f"{name} {score:.0%}" for name, score in (scores or {}).items())
