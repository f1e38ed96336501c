"""A run of a backfill that is done, made without Ray: its answers are those of the stub classifier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from db.schema.file_names import escape
from models.images.decode import UnreadableImage
from pipeline.backfill import parts, run_file
from pipeline.backfill.parts import Mark, Part, Result
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.s3_source import S3Source
from pipeline.backfill.source import FolderSource, Listed
from pipeline.backfill.storage.run_path import RunPath
from pipeline.classifier.answering_model import AnsweringModel, dated
from pipeline.classifier.file_checks import Admitted, fingerprint
from pipeline.classifier.messages import ClassificationResult
from pipeline.settings.config import Settings
from tests.support.s3_server import Store
from tests.support.stub_answers import ADMITTED, answer
from tests.support.stub_classifier import BUNDLE

DECIDED = datetime(2026, 11, 20, 8, 30, 0, 250_000, UTC)


def tree(folder: Path, contents: dict[str, bytes]) -> Path:
    """Make the photos of a source; return its folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def finished_run(run: RunPath, settings: Settings, source: Path, size: int = 4) -> RunFile:
    """Plan a run of a folder in parts of `size` photos, do it, and return what was frozen."""
    photos = FolderSource(os.fsencode(source))
    return run_of(run, settings, photos.name, list(photos.list()), source, size)


def stored_run(run: RunPath, settings: Settings, store: Store, folder: Path, size: int = 4) -> RunFile:
    """Put the files of a folder into a store, and do the same with this source."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(f"pets/{path.relative_to(folder)}", path.read_bytes())
            os.utime(path, (1_700_000_000, 1_700_000_000))
    source = S3Source(store.source)
    return run_of(run, settings, source.name, list(source.list()), folder, size)


def run_of(
    run: RunPath, settings: Settings, name: str, listed: Sequence[Listed], folder: Path, size: int = 4
) -> RunFile:
    """Do the same for the source `name`, whose photos lie in `folder` too."""
    run_file.make_folders(run)
    count = first = 0
    rest = iter(listed)
    while batch := tuple(islice(rest, size)):
        parts.write_list(run, Part(count, first, batch))
        count, first = count + 1, first + len(batch)
    planned = RunFile(
        version="0.2.0", source=escape(os.fsencode(name)), parts=count, photos=first,
        bytes=sum(one.bytes for one in listed), digest=run_file.digest(run, count),
        model=BUNDLE.name, model_sha256=str(BUNDLE.sha256),
        threshold=0.9, folders=dict(BUNDLE.folders), engine="auto", precision="float32",
        limits={}, answer_key="0" * 16,
        actions={"filing": settings.filing.action, **settings.outcomes.model_dump()},
    )  # fmt: skip
    run_file.write(run, planned)
    for number in range(count):
        part = parts.read_list(run, number)
        results = [
            answered(settings, part.first + n, one, os.path.join(os.fsencode(folder), one.path))
            for n, one in enumerate(part.photos)
        ]
        parts.write_results(run, Mark(planned.digest, number), results)
    return planned


def answered(settings: Settings, id: int, photo: Listed, path: bytes) -> Result:
    """Return the answer of the stub classifier to a photo."""
    try:
        sha256 = fingerprint(path, settings.limits).sha256
        result = answer(id, path, Admitted(*ADMITTED))
    except UnreadableImage as error:
        sha256, result = None, ClassificationResult(id, None, None, error.reason, error.detail)
    decision = dated(AnsweringModel(settings, BUNDLE).decision(id, sha256, result, "stub"), photo.path)
    status = os.stat(path)
    values = decision._asdict() | {
        "path": photo.path, "dev": status.st_dev, "ino": status.st_ino, "bytes": photo.bytes,
        "mtime_ns": photo.mtime_ns, "decided_at": DECIDED,
    }  # fmt: skip
    return Result(*(values[field] for field in Result._fields))
