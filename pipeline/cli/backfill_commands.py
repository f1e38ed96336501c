"""The commands `backfill plan`, `run` and `check`: classify millions of photos once, on many machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, integer, load_or_default, real
from pipeline.errors import SOME_FAILED, PawsortError

if TYPE_CHECKING:
    from pipeline.backfill.run import Summary

backfill_app = typer.Typer(help="Classify millions of photos once, on one machine or many.")

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the run, on a disk that all share.")]
Model = Annotated[str | None, typer.Option(help="A bundle's name or path (default: as in the settings).")]


@backfill_app.command("plan")
def backfill_plan(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The folder of the photos.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The new folder of the run.")],
    part: Annotated[int, integer("Photos of one part.", most=1_000_000)] = 2000,
    model: Model = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """List the photos of a folder in parts, and freeze the model and the settings that decide.

    Nothing is classified, recorded or moved.

    Example: pawsort backfill plan /archive --out /archive-run
    """
    from pipeline.backfill.plan import bundle_of, plan
    from pipeline.backfill.source import open_source
    from pipeline.cli.printing.output import print_json

    _require_packages()
    settings = load_or_default(config)
    listing = open_source(source, settings.watch.ignore, companions=settings.filing.companions)
    planned = plan(settings, bundle_of(settings, model), listing, out, part)
    if json:
        print_json(planned.model_dump())
    else:
        print(f"{planned.photos} photos in {planned.parts} parts; now: pawsort backfill run {out}")


@backfill_app.command("run")
def backfill_run(
    run: Run,
    ray: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The Ray cluster (default: Ray on this machine alone)."),
    ] = None,
    cores: Annotated[
        int | None, integer("CPUs of one actor (default: those of the smallest machine).", most=4096)
    ] = None,
    stalled_after: Annotated[
        float, real("Exit 6 when no part finishes for so many seconds.", least=1, most=1e7)
    ] = 3600,
    model: Model = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Classify the photos of a run, part by part; the same command again continues it.

    Exit 1 if parts failed, which are named.

    Example: pawsort backfill run /archive-run --ray 10.0.0.1:6379
    """
    from models.progress import StageProgress
    from pipeline.backfill import plan
    from pipeline.backfill.on_ray import Cluster, on_ray
    from pipeline.backfill.run import run as do
    from pipeline.cli.printing.progress import training_progress

    _require_packages()
    settings = load_or_default(config)
    bundle = plan.bundle_of(settings, model)
    planned = plan.fitting(settings, bundle, run)
    work = plan.work_of(settings, bundle, run, planned)
    with training_progress() as progress:
        summary = do(
            planned, work, on_ray(Cluster(ray, cores)), stalled_after, StageProgress("parts", progress)
        )
    _print_summary(summary, json)
    raise typer.Exit(SOME_FAILED if summary.failed else 0)


def _print_summary(summary: Summary, json: bool) -> None:
    from dataclasses import asdict

    from pipeline.cli.printing.output import print_json

    if json:
        print_json(asdict(summary))
        return
    print(f"{summary.parts} parts with {summary.photos} photos done now, {summary.before} parts before")
    for number, problem in sorted(summary.failed.items()):
        print(f"pawsort: part {number} failed: {problem}", file=sys.stderr)


@backfill_app.command("check")
def backfill_check(run: Run, json: Json = False) -> None:
    """Check that each photo of a run has exactly one result; exit 1 and name the parts if not.

    Example: pawsort backfill check /archive-run
    """
    from pipeline.backfill.check import check
    from pipeline.cli.printing.output import print_json

    _require_packages()
    problems = [problem._asdict() for problem in check(run)]
    if json:
        print_json(problems)
    for problem in () if json else problems:
        where = "lists" if problem["part"] is None else f"part {problem['part']}"
        print(f"{where}: {problem['problem']}")
    if not problems and not json:
        print("each photo has exactly one result")
    raise typer.Exit(1 if problems else 0)


def _require_packages() -> None:
    from pipeline.backfill.on_ray import missing_package

    if problem := missing_package():
        raise PawsortError(f"backfill: {problem}")
