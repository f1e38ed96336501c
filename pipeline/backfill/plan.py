"""Plan a run: list the photos of a source in parts, and freeze what decides their answers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from db.schema.file_names import escape, unescape
from models.bundle.bundle import Bundle
from pipeline.backfill import parts, run_file
from pipeline.backfill.parts import Part
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.s3_source import S3Source
from pipeline.backfill.source import Listed, Source, open_source
from pipeline.backfill.storage.run_path import RunPath, S3Path, is_unfinished, names, remove_unfinished
from pipeline.backfill.work import Work
from pipeline.classifier.answer_key import answer_key
from pipeline.classifier.configured_model import load_bundle, open_bundle, policy, with_usable_folders
from pipeline.errors import SettingsError
from pipeline.files.permissions import limited
from pipeline.settings.config import Settings
from pipeline.version import version

log = logging.getLogger(__name__)

PHOTOS = 2000
"""Photos of one part, unless the user says another number."""

_PARTS_BETWEEN_LINES = 500  # of the log


def plan(
    settings: Settings,
    bundle: Bundle,
    source: Source,
    run: RunPath,
    size: int = PHOTOS,
) -> RunFile:
    """List a source into the new folder `run`, `size` photos a part; return what was frozen.

    A folder with a plan that was cut off is used again. Raises SettingsError where the source has no photos
    or the folder cannot be used, PawsortError where a part of the source cannot be listed, and OSError.
    """
    _refuse_away(source)
    _refuse_folder(run, source)
    with limited(settings.permissions):
        run_file.make_folders(run)
        totals = _write_lists(run, source, size)
        planned = _frozen(settings, bundle, source.name, *totals, run_file.digest(run, totals[0]))
        run_file.write(run, planned)
    return planned


def _refuse_away(source: Source) -> None:
    try:
        source.check()
    except OSError as error:
        raise SettingsError(f"{source.name}: {error.strerror or error}") from error


def _refuse_folder(run: RunPath, source: Source) -> None:
    if _is_inside(run, source):
        raise SettingsError(f"--out {run}: lies in the source {source.name}; choose a folder outside it")
    if isinstance(run, Path):
        if not run.exists():
            return
        if not run.is_dir():
            raise SettingsError(f"--out {run}: is no folder")
    found = {name for name in names(run) if not is_unfinished(name)}
    if run_file.NAME in found:
        raise SettingsError(f"--out {run}: has a run already; choose another folder, or continue this one")
    if found - {parts.LISTS, parts.RESULTS}:
        raise SettingsError(f"--out {run}: is not empty; choose a new folder")


def _is_inside(run: RunPath, source: Source) -> bool:
    if isinstance(source, S3Source):
        return isinstance(run, S3Path) and source.address.contains(run.address)
    return isinstance(run, Path) and f"{os.path.realpath(run)}/".startswith(source.name.rstrip("/") + "/")


def _write_lists(run: RunPath, source: Source, size: int) -> tuple[int, int, int]:
    """Return the numbers of parts, photos and bytes."""
    number, photos, total = 0, 0, 0
    for batch in _in_batches(source.list(), size):
        parts.write_list(run, Part(number, photos, batch))
        number, photos, total = number + 1, photos + len(batch), total + sum(one.bytes for one in batch)
        if number % _PARTS_BETWEEN_LINES == 0:
            log.info("%d photos listed", photos)
    if not photos:
        raise SettingsError(f"{source.name}: there are no photos")
    _remove_others(run, number)
    return number, photos, total


def _remove_others(run: RunPath, count: int) -> None:
    """Remove what a plan that was cut off has left beside the lists of `count` parts."""
    for folder in (run, run / parts.LISTS):
        remove_unfinished(folder)
    for number in parts.numbers(run / parts.LISTS):
        if number >= count:
            parts.list_file(run, number).unlink(missing_ok=True)


def _in_batches(photos: Iterator[Listed], size: int) -> Iterator[tuple[Listed, ...]]:
    while batch := tuple(islice(photos, size)):
        yield batch


def _frozen(
    settings: Settings, bundle: Bundle, source: str, parts: int, photos: int, bytes: int, digest: str
) -> RunFile:
    chosen = policy(settings, bundle)
    return RunFile(
        version=version(),
        source=escape(os.fsencode(source)),
        parts=parts,
        photos=photos,
        bytes=bytes,
        digest=digest,
        model=bundle.name,
        model_sha256=bundle.sha256,
        threshold=chosen.threshold,
        folders=dict(chosen.folders),
        engine=settings.engine,
        precision=bundle.precision,
        limits=settings.limits.model_dump(),
        answer_key=answer_key(settings, bundle),
        actions={"filing": settings.filing.action, **settings.outcomes.model_dump()},
    )


def fitting(settings: Settings, bundle: Bundle, run: RunPath) -> RunFile:
    """Return what a run was planned with. Raises SettingsError where that does not fit what is there now."""
    planned = run_file.read(run)
    try:
        digest = run_file.digest(run, planned.parts)
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot be read: {error.strerror}; plan again") from error
    source = os.fsdecode(unescape(planned.source))
    now = _frozen(settings, bundle, source, planned.parts, planned.photos, planned.bytes, digest)
    if found := run_file.differences(planned, now):
        raise SettingsError(
            f"{run}: does not fit what is here now; nothing was changed. Restore this, or plan a new run:\n"
            + "\n".join(found)
        )
    return planned


def work_of(settings: Settings, bundle: Bundle, run: RunPath, planned: RunFile) -> Work:
    """Return what each machine needs for a run that fits. Raises SettingsError where the source is away."""
    # The threshold as a number, as another machine has no measured one of its own.
    decision = settings.decision.model_copy(update={"min_confidence": planned.threshold})
    source = open_source(os.fsdecode(unescape(planned.source)))
    _refuse_away(source)
    return Work(
        run.absolute(),
        settings.model_copy(update={"decision": decision}),
        bundle,
        source.name,
        planned.digest,
        planned.version,
        planned.answer_key,
    )


def bundle_of(settings: Settings, model: str | None) -> Bundle:
    """Load the model in force, or the one of a name or path, as `classify` does. Raises ModelError."""
    if model is None:
        return load_bundle(settings)
    bundle = open_bundle(model, (Path.cwd(), settings.base), settings.engine)
    return with_usable_folders(bundle, f"--model {model}")
