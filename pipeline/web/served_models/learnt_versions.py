"""The versions of the configured model as the pages and the API show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from models.bundle.bundle import Bundle
from models.bundle.manifest import Figure
from models.errors import BundleError
from models.inference.engines import answering
from pipeline.errors import ModelError
from pipeline.learning.diary import moment
from pipeline.learning.listing import Listed, listing
from pipeline.learning.record import DamagedRecord, Record, Step
from pipeline.learning.versions import Family, family
from pipeline.settings.config import Settings
from pipeline.web.served_models import promised_figures

SHOWN = ("precision_at_threshold", "coverage_at_threshold")
"""Figures in the list of versions, at the target precision of the settings."""


@dataclass(frozen=True, slots=True)
class LearntVersion:
    """A version; `photos` counts those that people judged and it was learnt from, None if unknown.

    `since` and `by` say since when it
    is in force, and by whom. `is_better` is the verdict of its comparison, None for the base.
    """

    number: int
    name: str
    made_at: datetime | None
    photos: int | None
    figures: dict[str, Figure]
    is_in_force: bool
    since: datetime | None
    by: str | None
    is_better: bool | None
    reason: str
    problem: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the API."""
        return {
            "version": self.number,
            "name": self.name,
            "is_in_force": self.is_in_force,
            "since": self.since,
            "by": self.by,
            "learnt_at": self.made_at,
            "photos": self.photos,
            "is_better": self.is_better,
            "reason": self.reason or None,
            "problem": self.problem,
            "figures": {name: figure.model_dump() for name, figure in self.figures.items()},
        }


@dataclass(frozen=True, slots=True)
class VersionList:
    """All versions, the base first, which lies at `path`.

    `seen` is the number that a form sends as the version in force. It differs from `in_force.number` if the
    version that was promoted cannot be used. `before` is the name of the version that a rollback leads to,
    None if there is none; `history` has the newest step first.
    """

    path: Path
    versions: tuple[LearntVersion, ...]
    seen: int
    before: str | None
    history: tuple[tuple[str, Step], ...]

    @property
    def base(self) -> LearntVersion:
        """The model as it came."""
        return self.versions[0]

    @property
    def in_force(self) -> LearntVersion:
        """The version in force."""
        return next((version for version in self.versions if version.is_in_force), self.base)

    @property
    def newest(self) -> LearntVersion | None:
        """The version that was learnt last, None if none was."""
        return self.versions[-1] if len(self.versions) > 1 else None

    def one(self, number: int) -> LearntVersion | None:
        """Return a version by its number."""
        return next((version for version in self.versions if version.number == number), None)


def versions_of(settings: Settings) -> VersionList:
    """List the versions of the configured model. Raises ModelError for a base that cannot be read."""
    known = family(settings)
    record = _record(known)
    earlier = record.stack()[:-1]
    history = [(known.version(step.version).name, step) for step in reversed(record.history)]
    return VersionList(
        path=known.base.path,
        versions=tuple(_version(settings, each, record) for each in listing(settings)),
        seen=record.version,
        before=known.version(earlier[-1]).name if earlier else None,
        history=tuple(history),
    )


def figures_of(settings: Settings, bundle: Bundle) -> dict[str, Figure]:
    """Return the figures of SHOWN at the target precision of the settings, as far as they are known."""
    try:
        found = answering(bundle, settings.engine)
    except BundleError:  # `problem` says so
        return {}
    figures = promised_figures.figures(found, promised_figures.in_force(settings, found))
    return {name: figures[name] for name in SHOWN if name in figures}


def _version(settings: Settings, listed: Listed, record: Record) -> LearntVersion:
    number, learnt = listed.version.number, listed.learnt
    made = moment(learnt.get("at"))
    step = next((step for step in reversed(record.history) if step.version == number), None)
    current = step if listed.is_in_force else None
    figures = figures_of(settings, listed.bundle) if listed.bundle and listed.bundle.folders else {}
    return LearntVersion(
        number=number,
        name=listed.version.name,
        made_at=made,
        photos=_photos(learnt.get("photos")),
        figures=figures,
        is_in_force=listed.is_in_force,
        since=moment(current.at) if current else None,
        by=current.by if current else None,
        is_better=listed.is_better if number else None,
        reason=listed.reason,
        problem=listed.problem,
    )


def _photos(counts: object) -> int | None:
    """Return the number of judged photos, from the counts by label and split."""
    if not isinstance(counts, dict):
        return None
    splits = [count for split in counts.values() if isinstance(split, dict) for count in split.values()]
    return sum(count for count in splits if isinstance(count, int))


def _record(known: Family) -> Record:
    try:
        return Record.read(known.record_path)
    except (DamagedRecord, ModelError):
        return Record()
