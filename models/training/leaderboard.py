"""The trials of a sweep as a table, the best first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.bundle.write_bundle import replace

COLUMNS = ("rank", "architecture", "strategy", "log_loss", "accuracy", "seconds", "problem")


@dataclass(frozen=True, slots=True)
class Trial:
    """The settings of a trial and its figures on the validation photos; no figures if it failed."""

    key: str
    chosen: dict[str, str | int | float | None]
    log_loss: float | None  # nats, calibrated
    accuracy: float | None
    seconds: float
    problem: str | None

    def describe(self) -> str:
        """Return the settings on one line."""
        return ", ".join(f"{name} {_short(value)}" for name, value in self.chosen.items())


def rows(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """Return a row for each trial: COLUMNS, and a column for each parameter that any trial has."""
    parameters = dict.fromkeys(name for trial in trials for name in trial.chosen if name not in COLUMNS)
    return [_row(rank, trial, parameters) for rank, trial in enumerate(trials, start=1)]


def _row(rank: int, trial: Trial, parameters: Iterable[str]) -> dict[str, object]:
    return {
        "rank": rank,
        "architecture": trial.chosen["architecture"],
        "strategy": trial.chosen.get("strategy"),
        "log_loss": trial.log_loss,
        "accuracy": trial.accuracy,
        "seconds": trial.seconds,
        **{name: trial.chosen.get(name) for name in parameters},
        "problem": trial.problem,
    }


def write_leaderboard(folder: Path, trials: Sequence[Trial]) -> None:
    """Write leaderboard.csv."""
    table = rows(trials)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    replace(folder / "leaderboard.csv", buffer.getvalue().encode())


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
