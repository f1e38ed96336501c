"""Load the results of a run into the ledger: each photo as noted where it lies."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Engine

from db.ledger import backfill
from db.ledger.backfill import BEGUN, FILED, Known, LoadMark, Noted
from db.ledger.ledger import FileDecision, SettledFile
from db.schema.file_names import unescape
from models.labels import NEITHER
from pipeline.backfill import parts, run_file
from pipeline.backfill.parts import DamagedPart, Result
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.storage.run_path import RunPath
from pipeline.backfill.tree import Listed
from pipeline.decision import DUPLICATES, FAILED
from pipeline.errors import PawsortError, SettingsError
from pipeline.settings.config import Settings

Answered = tuple[Listed, Result]
"""A photo as it was listed, and the answer to it."""


@dataclass(slots=True)
class Loaded:
    """What was loaded: parts and photos now, parts before, photos by outcome.

    With `--file`: `gone` photos are not as they were classified any more, or were deleted; `refused` could
    not be taken, each with the reason; `left` are claimed, and the worker classifies them anew.
    """

    parts: int = 0
    photos: int = 0
    before: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    gone: int = 0
    left: int = 0
    refused: dict[str, str] = field(default_factory=dict)


class Loading:
    """A run whose results are whole, and what its parts are loaded with.

    Raises SettingsError without a readable plan, or where the settings have other actions than it; and
    PawsortError where parts have no results.
    """

    def __init__(self, run: RunPath, settings: Settings) -> None:
        self.run = run
        self.planned = run_file.read(run)
        self.digest = hashlib.sha256((run / run_file.NAME).read_bytes()).hexdigest()
        self.source = os.fsdecode(unescape(self.planned.source))
        _refuse_other_actions(self.planned, settings)
        _refuse_unfinished(run, self.planned)

    @property
    def root(self) -> bytes:
        """What the paths of the photos are relative to: a folder, or the URL of a prefix of S3."""
        return os.fsencode(self.source.partition("?")[0] if self.is_s3 else self.source)

    @property
    def is_s3(self) -> bool:
        """Whether the photos are objects of S3."""
        return self.source.startswith("s3://")

    def mark(self, number: int, suffix: str = "") -> LoadMark:
        """Return the mark of a part: that of a noted one, or with BEGUN or FILED of `db.ledger.backfill`."""
        return LoadMark(self.digest + suffix, number)

    def loaded(self, engine: Engine, suffix: str = "") -> set[int]:
        """Return the parts that have such a mark. Raises DatabaseError."""
        return backfill.loaded(engine, self.digest + suffix)

    def answered(self, number: int) -> list[Answered]:
        """Return the photos of a part with the answers to them, in their order.

        Raises PawsortError if a file is damaged, or of another run.
        """
        try:
            part = parts.read_list(self.run, number)
            mark, _ = parts.read_mark(self.run, number)
            results = parts.read_results(self.run, number)
        except DamagedPart as error:
            raise PawsortError(f"{error}; see `pawsort backfill check {self.run}`") from error
        listed = [(part.first + n, photo.path) for n, photo in enumerate(part.photos)]
        if mark != (self.planned.digest, number) or listed != [(one.id, one.path) for one in results]:
            raise PawsortError(
                f"{parts.results_file(self.run, number)}: does not have exactly the photos of its list; "
                f"see `pawsort backfill check {self.run}`"
            )
        return list(zip(part.photos, results, strict=True))


def note_all(
    loading: Loading,
    settings: Settings,
    own: Engine,
    everyone: Engine,
    progress: Callable[[int, int], None] = lambda done, parts: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Loaded:
    """Record each photo of a run as noted where it lies, a part in one transaction.

    Parts that were loaded before are passed over, so that the same call goes on after a kill. `own` makes
    rows of this worker, `everyone` sees all. `progress` is called with parts done and all. Raises
    SettingsError where photos of it are filed, PawsortError, DatabaseError, OSError.
    """
    planned = loading.planned
    _refuse_filed(loading, everyone)
    before = loading.loaded(everyone)
    done = Loaded(before=len(before))
    for number in range(planned.parts):
        if number in before:
            continue
        answered = loading.answered(number)
        known = backfill.known(everyone, sorted({one.sha256 for _, one in answered if one.sha256}))
        noted = list(_noted(loading, settings, answered, known))
        if backfill.note(own, loading.mark(number), noted, now()):
            _count(done, noted)
        progress(done.before + done.parts, planned.parts)
    return done


def _count(done: Loaded, noted: Sequence[Noted]) -> None:
    done.parts += 1
    done.photos += len(noted)
    done.outcomes.update(one.decision.outcome for one in noted)
    done.duplicates += sum(one.first is not None or one.decision.duplicate_of is not None for one in noted)


class _Original(NamedTuple):
    """The first photo of a content: a row that was there before, or a place in the part."""

    is_ordinary: bool
    id: int | None = None
    place: int | None = None


def _noted(
    loading: Loading, settings: Settings, answered: Sequence[Answered], known: Mapping[str, Known]
) -> Iterator[Noted]:
    """Decide as the worker would, if the photos had arrived in this order.

    The first photo of a content is the original of the others, a correction holds for all of its content,
    and duplicates may be held. A photo that failed is the original of one that did not only until then.
    """
    root, holds = loading.root, settings.duplicates == "hold"
    originals = {sha: _Original(one.is_ordinary, one.id) for sha, one in known.items() if one.id is not None}
    for place, (photo, result) in enumerate(answered):
        content = result.sha256 or ""
        decision = recorded(loading.planned, result)
        if content in known and (folder := _folder_of(known[content].label, loading.planned)):
            decision = decision._replace(outcome=folder, reason=None, detail=None)
        if original := originals.get(content):
            decision = decision._replace(duplicate_of=original.id)
            if holds and original.is_ordinary and decision.outcome != FAILED:
                decision = decision._replace(outcome=DUPLICATES)
        first = original.place if original else None
        yield Noted(_found(root, photo, result), os.path.join(root, photo.path), decision, first)
        is_ordinary = decision.outcome not in (FAILED, DUPLICATES)
        if content and (original is None or (is_ordinary and not original.is_ordinary)):
            originals[content] = _Original(is_ordinary, place=place)


def recorded(planned: RunFile, result: Result) -> FileDecision:
    """Return the decision that a result records."""
    values = result._asdict()
    known = {name: values[name] for name in FileDecision._fields if name in values}
    if result.scores is not None:
        known |= {"model": planned.model, "model_sha256": planned.model_sha256}
    return FileDecision(**known)


def _found(root: bytes, photo: Listed, result: Result) -> SettledFile:
    version = result.dev, result.ino, result.bytes, result.mtime_ns
    return SettledFile(
        os.fsdecode(root), photo.path, *version, result.decided_at, companions=photo.companions
    )


def _folder_of(label: str | None, planned: RunFile) -> str | None:
    return planned.actions["neither"] if label == NEITHER else planned.folders.get(label or "")


def _refuse_other_actions(planned: RunFile, settings: Settings) -> None:
    now = {"filing": settings.filing.action, **settings.outcomes.model_dump()}
    if other := sorted(name for name in planned.actions if planned.actions[name] != now.get(name)):
        said = "; ".join(f"{name}: planned {planned.actions[name]}, now {now.get(name)}" for name in other)
        raise SettingsError(
            f"the settings say otherwise what happens to photos than when the run was planned ({said}); "
            "restore these settings, or plan a new run"
        )


def _refuse_filed(loading: Loading, everyone: Engine) -> None:
    if loading.loaded(everyone, BEGUN) or loading.loaded(everyone, FILED):
        raise SettingsError(
            f"{loading.run}: was loaded with --file, so it cannot be loaded without it: each photo would "
            "get a second row"
        )


def _refuse_unfinished(run: RunPath, planned: RunFile) -> None:
    there = set(parts.numbers(run / parts.RESULTS))
    if missing := [number for number in range(planned.parts) if number not in there]:
        raise PawsortError(
            f"{run}: {len(missing)} of {planned.parts} parts have no results yet, such as part {missing[0]}; "
            f"`pawsort backfill run {run}` does them"
        )
