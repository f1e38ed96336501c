"""Make a new version of the model from the photos that people judged: `pawsort learn`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from db.queries import judged as queries
from models.bundle import bundle as bundles
from models.inference.engines import answering
from pipeline.errors import ModelError, SettingsError, translated
from pipeline.files.folders import sync_folders
from pipeline.files.permissions import limited
from pipeline.learning.in_use import answering_first
from pipeline.learning.learn_status import learning, reporting
from pipeline.learning.versions import Family, Version, check, family, next_version
from pipeline.settings.config import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from models.learning.record import Learnt
    from models.progress import Progress, ProgressCallback

log = logging.getLogger(__name__)

NICENESS = 10
MOST_JUDGED = 10_000
"""Judged photos that are learnt from, those judged last: 250 MB of features."""

MOST_FILED = 500
"""Photos filed last that are looked at for changes."""

_NEVER = datetime.min.replace(tzinfo=UTC)
_UNFINISHED = ".learning-"
CACHE = "features.npz"


def learn(
    settings: Settings,
    engine: Engine,
    progress: ProgressCallback,
    *,
    whole: bool = False,
    own: Engine | None = None,
) -> tuple[Version, Learnt]:
    """Learn from the judged photos, and write the result as a new version; it is not put in force.

    They are those of all workers; what cannot be read here is left out. `own` has the files of this machine.
    Sets this process to a low priority. An interrupted run leaves nothing behind. Raises LockError while
    another process learns, SettingsError for too few photos, ModelError, OSError.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    own = own or engine
    judged = _here(own, _judged(engine))
    if not judged:  # before `reporting`: nothing begins, so that nothing failed
        raise SettingsError(
            "no photo was judged yet: correct or confirm some on the page Review or by `pawsort correct`"
        )
    with (
        limited(settings.permissions),
        learning(settings),
        reporting(settings.state) as report,
        translated(),
    ):

        def both(made: Progress) -> None:
            progress(made)
            report(made)

        known = family(settings)
        version = known.version(next_version(settings))
        with _new_folder(known, version) as folder:
            result = _learnt(settings, own, known, version, folder, judged, both, whole)
        report.made(version.number)
    return version, result


def _learnt(
    settings: Settings,
    own: Engine,
    known: Family,
    version: Version,
    folder: Path,
    judged: list[queries.Judged],
    progress: ProgressCallback,
    whole: bool,
) -> Learnt:
    # TensorFlow is imported in the process that learns alone.
    from models.learning.learn import LearnOptions, learn
    from models.learning.photos import FiledPhoto, JudgedPhoto
    from models.learning.whole import learn_whole

    rows = [JudgedPhoto(os.fsencode(row.path), row.label, row.sha256, row.model, row.id) for row in judged]
    filed = [FiledPhoto(os.fsencode(row.path), row.sha256, row.id) for row in queries.filed(own, MOST_FILED)]
    options = LearnOptions(
        champion=_champion(settings, known),
        name=version.name,
        out=folder,
        judged=rows,
        filed=filed,
        base_sha256=known.sha256,
        engine=settings.engine,
        target_precision=settings.decision.target_precision,
        cache=known.folder / CACHE,
    )
    return learn_whole(options, progress) if whole else learn(options, progress)


def _champion(settings: Settings, known: Family) -> Path:
    """Return the version that answers: that in force, or the latest before it that can be used."""
    for version in answering_first(known)[:-1]:
        try:
            with translated():
                check(known, version)
                answering(bundles.load(version.path), settings.engine)
        except ModelError as error:
            log.warning("%s cannot be used; it is learnt from the version before it: %s", version.name, error)
        else:
            return version.path
    return known.base.path


def _judged(engine: Engine) -> list[queries.Judged]:
    """Return the judged photos, those that were judged last if there are more than MOST_JUDGED.

    The oldest arrival comes first. Photos without a time were judged before times were recorded.
    """
    found = list(queries.judged(engine))
    if len(found) <= MOST_JUDGED:
        return found
    log.warning("of %d judged photos, the %d judged last are learnt from", len(found), MOST_JUDGED)
    found.sort(key=lambda row: (row.reviewed_at or _NEVER, row.id))
    return sorted(found[-MOST_JUDGED:], key=lambda row: row.id)


def _here(own: Engine, judged: list[queries.Judged]) -> list[queries.Judged]:
    """Name the judged photos by the paths that they have here, where another machine has a copy too."""
    paths = {row.sha256: row.path for row in queries.judged(own)}
    return [row._replace(path=paths.get(row.sha256, row.path)) for row in judged]


@contextmanager
def _new_folder(known: Family, version: Version) -> Iterator[Path]:
    """Yield a hidden folder, which becomes that of the version when it is complete, or is removed."""
    for left in known.folder.glob(f"{_UNFINISHED}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    folder = known.folder / f"{_UNFINISHED}{version.number}"
    folder.mkdir()
    try:
        yield folder
        folder.rename(version.path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sync_folders([os.fsencode(known.folder)])
