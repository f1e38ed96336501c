"""The figures of spot checks: precision achieved against the promise, by class and month, and coverage."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from db.queries import spot_checks
from db.queries.spot_checks import Drawn, Known
from models.bundle.bundle import Bundle
from pipeline.classifier import own_threshold
from pipeline.decision import UNCERTAIN
from pipeline.settings.config import Settings
from pipeline.spot_checks.estimate import Estimate, Sample, Weighted, not_drawable, sample_of, weighted
from pipeline.spot_checks.own_threshold import Measured, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """What spot checks tell: all shares are 0 to 1; `per_class` by folder, `by_month` as `2026-11`.

    `needed` is how many more right answers would prove the `promise`, 0 if it is proven, None if no number
    would. `coverage` is the share of answered photos that were filed, None without any. `waiting` photos are
    drawn and not answered.
    """

    estimate: Estimate
    needed: int | None
    promise: float
    per_class: Mapping[str, Estimate]
    by_month: Mapping[str, Estimate]
    coverage: float | None
    waiting: int
    own: Measured

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self.estimate),
            "needed": self.needed,
            "promise": self.promise,
            "per_class": {name: asdict(each) for name, each in self.per_class.items()},
            "by_month": {name: asdict(each) for name, each in self.by_month.items()},
            "coverage": self.coverage,
            "waiting": self.waiting,
            "own_threshold": asdict(self.own),
        }

    def as_text(self) -> str:
        """Return lines for people."""
        lines = [f"precision  {_in_words(self.estimate)}", f"promise    {_of_promise(self)}"]
        lines += [
            f"{name:10} {_in_words(each)}" for name, each in (*self.per_class.items(), *self.by_month.items())
        ]
        if self.coverage is not None:
            lines.append(f"coverage   {self.coverage:.1%} of the photos are filed, the others are uncertain")
        if self.own.threshold is not None:
            lines.append(f"threshold  {self.own.threshold:.4f} is proven by one's own answers")
        return "\n".join([*lines, f"waiting    {self.waiting} photos drawn and not answered"])


def _in_words(estimate: Estimate) -> str:
    if estimate.precision is None:
        return "no photo was checked yet"
    interval = f"95% interval {estimate.low:.2%} to {estimate.high:.2%}"
    return f"{estimate.precision:.2%} ({interval}), {estimate.answered} checked"


def _of_promise(figures: Figures) -> str:
    if figures.needed == 0:
        return f"{figures.promise:.1%} is proven"
    if figures.needed is None:
        why = ": too many filed photos were judged wrong" if figures.promise < 1 else ""
        return f"{figures.promise:.1%}: no number of right answers would prove it{why}"
    return f"{figures.promise:.1%}: {figures.needed} more right answers would prove it"


def figures(engine: Engine, settings: Settings, bundle: Bundle) -> Figures:
    """Return the figures of all spot checks until now. Raises DatabaseError."""
    outcomes = tuple(dict.fromkeys(bundle.folders.values()))
    drawn = spot_checks.drawn(engine)
    photos = weighted(drawn)
    known = not_drawable(spot_checks.judged_without(engine, outcomes), drawn)
    promise = settings.decision.target_precision
    whole = sample_of(photos, known)
    zone = settings.report.zone
    return Figures(
        estimate=whole.estimate(),
        needed=whole.needed(promise),
        promise=promise,
        per_class={name: _of_class(photos, known, name).estimate() for name in outcomes},
        by_month=_by_month(photos, known, zone),
        coverage=_coverage(spot_checks.verdicts(engine), outcomes),
        waiting=spot_checks.count_waiting(engine),
        own=measure(engine, bundle, promise, photos, known),
    )


def measure_own_threshold(engine: Engine, settings: Settings, bundle: Bundle, now: datetime) -> None:
    """Measure the own threshold, if the settings ask for one, and store it for all uses of the model.

    If the file cannot be written, that is logged. Raises DatabaseError.
    """
    if settings.decision.calibration != "own":
        return
    drawn = spot_checks.drawn(engine)
    known = not_drawable(spot_checks.judged_without(engine, set(bundle.folders.values())), drawn)
    promise = settings.decision.target_precision
    found = measure(engine, bundle, promise, weighted(drawn), known)
    record = own_threshold.Record(
        model_sha256=bundle.sha256,
        target_precision=promise,
        threshold=found.threshold,
        answered=found.answered,
        needed=found.needed,
        measured_at=now,
    )
    try:
        own_threshold.write(settings, record)
    except OSError as error:
        log.error("the own threshold cannot be stored: %s; the one stored before stands", error)
        return
    log.info("decision.calibration: %s", own_threshold.described(settings))


def _of_class(photos: Sequence[Weighted], known: Sequence[Known], outcome: str) -> Sample:
    return sample_of(photos, known, lambda photo: photo.outcome == outcome)


def _by_month(photos: Sequence[Weighted], known: Sequence[Known], zone: ZoneInfo) -> dict[str, Estimate]:
    by_month = {}
    for month in sorted({_month(each.photo, zone) for each in photos}):
        of_month = partial(_is_of_month, month=month, zone=zone)
        by_month[month] = sample_of(photos, known, of_month).estimate()
    return {month: estimate for month, estimate in by_month.items() if estimate.answered}


def _is_of_month(photo: Drawn | Known, month: str, zone: ZoneInfo) -> bool:
    return _month(photo, zone) == month


def _month(photo: Drawn | Known, zone: ZoneInfo) -> str:
    return f"{photo.seen_at.astimezone(zone):%Y-%m}"


def _coverage(verdicts: Mapping[str | None, int], outcomes: Sequence[str]) -> float | None:
    filed = sum(verdicts.get(outcome, 0) for outcome in outcomes)
    answered = filed + verdicts.get(UNCERTAIN, 0)
    return filed / answered if answered else None
