"""A `learnt.json` as learning writes it, and a stand-in for the process that learns."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.learning.record import (
    Change,
    Comparison,
    Contradiction,
    Curve,
    Figures,
    Learnt,
    Pair,
    Point,
    Share,
    Verdict,
)
from models.progress import Progress
from pipeline.errors import SettingsError
from pipeline.learning import learn_status, versions
from pipeline.settings import config
from tests.support.model_versions import add_version

ROOT = Path(__file__).parents[2]
GO = "go"
"""A file in the state folder, for which a stand-in that is held waits."""

AT = "2026-11-29T03:30:00+00:00"


def share(value: float, count: int = 200) -> Share:
    return Share(value=value, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03), count=count)


def figures(accuracy: float) -> Figures:
    return Figures(
        accuracy=share(accuracy), precision=share(0.995), coverage=share(0.9), neither_filed=share(0.012)
    )


def pair(photos: int, better: int, worse: int, p_value: float) -> Pair:
    return Pair(
        champion=figures(0.9),
        challenger=figures(0.9 + (better - worse) / photos),
        photos=photos,
        only_champion_right=worse,
        only_challenger_right=better,
        p_value=p_value,
        difference=(better - worse) / photos,
        difference_low=0.01,
        difference_high=0.12,
    )


def learnt(name: str = "pets@1", champion: str = "pets", **changes: Any) -> dict[str, Any]:
    """The content of a `learnt.json`: of 212 own photos, 18 are answered better and 3 worse."""
    comparison = Comparison(
        champion=champion,
        challenger=name,
        target_precision=0.995,
        base=pair(1500, 2, 3, 1.0),
        own=pair(212, 18, 3, 0.0015),
        checked=300,
        contradictions=changes.pop("contradictions", []),
        new_labels=changes.pop("new_labels", []),
        base_neither=500,
        base_neither_left_out=0,
        without_crops=0,
    )
    points = [
        Point(share=part, photos=round(412 * part), mean=mean, low=mean - 0.02, high=mean + 0.01, classes={})
        for part, mean in ((0.25, 0.90), (0.5, 0.93), (0.75, 0.945), (1.0, 0.95))
    ]
    usual = Learnt(
        name=name,
        champion=champion,
        base_sha256="0" * 64,
        champion_sha256="0" * 64,
        at=AT,
        seconds=90.0,
        method="last layer",
        precision="int8",
        weight=3.0,
        photos={
            "cat": {"train": 100, "calibration": 20, "test": 80},
            "dog": {"train": 100, "calibration": 0, "test": 112},
        },
        left_out=[],
        comparison=comparison,
        changed=[],
        changed_among=4100,
        curve=Curve(
            points=points,
            held_out=212,
            most_useful="dog",
            sentence="More photos of dog would help most: from half of the photos 91.0% are recognised.",
        ),
        verdict=Verdict(better=True, reason="It is right about 15 more of 212 judged photos."),
        notes=[],
    )
    content: dict[str, Any] = usual.model_dump(mode="json")
    del content["base_sha256"]  # that of the base, unless a test gives another
    return content | changes


def change(id: int, before: str, after: str) -> dict[str, Any]:
    return Change(id=id, before=before, after=after).model_dump()


def contradiction(id: int, label: str, answer: str) -> Contradiction:
    return Contradiction(id=id, sha256="0" * 64, label=label, answer=answer)


def stand_in(config_path: Path, *how: str) -> list[str]:
    """The command of a process that learns as `main` does: `quick`, `held`, `fail`, `silent` or `broken`."""
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from tests.support import learnt_records as l; l.main()"
    )
    return [sys.executable, "-c", program, str(config_path), *how]


def main(words: Sequence[str] | None = None) -> None:
    """Do what `pawsort learn` does for the files in the state folder, without a network."""
    path, how = (words or sys.argv[1:])[:2]
    settings = config.load(Path(path))
    if how == "broken":
        sys.exit("pawsort: the model carries no features of its photos")
    with learn_status.learning(settings), learn_status.reporting(settings.state) as report:
        while how == "held" and not (settings.state / GO).exists():
            report(Progress("photos", 120, 400, 130.0))
            time.sleep(0.1)
        if how == "fail":
            raise SettingsError("12 judged photos can be used; expected at least 20")
        if how == "silent":
            os._exit(9)
        number = versions.next_version(settings)
        name = versions.family(settings).version(number).name
        now = datetime.now(UTC).isoformat()
        add_version(settings, number, learnt=learnt(name, versions.family(settings).base.name, at=now))
        report.made(number)
