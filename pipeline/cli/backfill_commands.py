"""The commands `backfill plan`, `run`, `check` and `load`: classify millions once, on many machines."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DEFAULT, Config, Json, database, integer, load, load_or_default, real
from pipeline.errors import SOME_FAILED, PawsortError, SettingsError, translated
from pipeline.logs import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.backfill.load import Loaded, Loading
    from pipeline.backfill.run import Summary
    from pipeline.settings.config import Settings

backfill_app = typer.Typer(help="Classify millions of photos once, on one machine or many.")

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The folder of the run, on a disk that all share or at s3://BUCKET/PREFIX."
    ),
]
Model = Annotated[str | None, typer.Option(help="A bundle's name or path (default: as in the settings).")]


@backfill_app.command("plan")
def backfill_plan(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The folder of the photos, or s3://BUCKET/PREFIX.")
    ],
    out: Annotated[
        str, typer.Option(metavar="RUN", help="The new folder of the run, or s3://BUCKET/PREFIX.")
    ],
    part: Annotated[int, integer("Photos of one part.", most=100_000)] = 2000,
    model: Model = None,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """List the photos of a source in parts, and freeze the model and the settings that decide.

    Nothing is classified, recorded or moved.

    Example: pawsort backfill plan /archive --out /archive-run
    """
    from pipeline.backfill.plan import bundle_of, plan
    from pipeline.backfill.run_file import run_path
    from pipeline.backfill.source import open_source
    from pipeline.cli.printing.output import print_json

    _require_packages()
    settings = load_or_default(config)
    listing = open_source(source, settings.watch.ignore, companions=settings.filing.companions)
    planned = plan(settings, bundle_of(settings, model), listing, run_path(out), part)
    if json:
        print_json(planned.model_dump())
    else:
        print(
            f"{planned.photos} photos in {planned.parts} parts; now: pawsort backfill run {shlex.quote(out)}"
        )


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
    from pipeline.backfill.run_file import run_path
    from pipeline.cli.printing.progress import training_progress

    _require_packages()
    settings = load_or_default(config)
    bundle, path = plan.bundle_of(settings, model), run_path(run)
    planned = plan.fitting(settings, bundle, path)
    work = plan.work_of(settings, bundle, path, planned)
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
    from pipeline.backfill.run_file import run_path
    from pipeline.cli.printing.output import print_json

    _require_packages()
    problems = [problem._asdict() for problem in check(run_path(run))]
    if json:
        print_json(problems)
    for problem in () if json else problems:
        where = "lists" if problem["part"] is None else f"part {problem['part']}"
        print(f"{where}: {problem['problem']}")
    if not problems and not json:
        print("each photo has exactly one result")
    raise typer.Exit(1 if problems else 0)


@backfill_app.command("load")
def backfill_load(
    run: Run,
    file: Annotated[
        bool, typer.Option("--file", help="File the photos too, as from an inbox; no worker may be running.")
    ] = False,
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Load the results of a run into the database; the same command again adds nothing twice.

    Without --file each photo is noted where it lies. With it each is filed by its answer; exit 1 if some
    could not be taken.

    Example: pawsort backfill load /archive-run
    """
    from models.progress import StageProgress
    from pipeline.backfill.load import Loading
    from pipeline.backfill.load_files import file_all
    from pipeline.backfill.run_file import run_path
    from pipeline.cli.printing.progress import training_progress

    _require_packages()
    settings = load(config)
    loading = Loading(run_path(run), settings)
    with training_progress() as progress:
        told = StageProgress("parts", progress)
        loaded = file_all(loading, settings, told) if file else _noted(loading, settings, told)
    _print_loaded(loaded, json)
    raise typer.Exit(SOME_FAILED if loaded.refused else 0)


def _noted(loading: Loading, settings: Settings, progress: Callable[[int, int], None]) -> Loaded:
    """Note the photos as files of this installation's worker, which may be running."""
    from pipeline.backfill.load import note_all
    from pipeline.worker.identity import own_id, own_rows

    with database(settings, "write") as everyone, translated():
        if not own_id(everyone, settings):
            raise SettingsError("start the worker once before: the rows get its name")
        with own_rows(everyone, settings, "write") as own:
            return note_all(loading, settings, own, everyone, progress)


def _print_loaded(loaded: Loaded, json: bool) -> None:
    from dataclasses import asdict

    from pipeline.cli.printing.output import print_json

    if json:
        print_json(asdict(loaded))
        return
    folders = ", ".join(f"{count} {folder}" for folder, count in sorted(loaded.outcomes.items()))
    print(f"{loaded.photos} photos of {loaded.parts} parts loaded now, {loaded.before} parts before")
    print(f"{folders or 'none'}; {loaded.duplicates} of them duplicates")
    if loaded.gone:
        print(f"{loaded.gone} photos are not there any more")
    if loaded.left:
        print(
            f"{loaded.left} photos were changed since, or wait: the worker goes on with them when it starts"
        )
    for name, problem in sorted(loaded.refused.items()):
        print(f"pawsort: {printable(name)}: {problem}; it stays where it is", file=sys.stderr)


def _require_packages() -> None:
    from pipeline.backfill.on_ray import missing_package

    if problem := missing_package():
        raise PawsortError(f"backfill: {problem}")
