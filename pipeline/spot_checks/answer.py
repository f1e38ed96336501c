"""Record what a person said of photos that were drawn: each is a correction, or a confirmation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from db.ledger.spot_checks import forget_undone, record_answers
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.settings.config import Settings


def _utc() -> datetime:
    return datetime.now(UTC)


def answer(
    engine: Engine,
    settings: Settings,
    files: Sequence[Known],
    label: str,
    by: str,
    folders: Mapping[str, str],
    now: Callable[[], datetime] = _utc,
) -> list[Change]:
    """Correct photos to `label`, which moves the wrong ones; return a change for each.

    Raises as `correct_undo_retry.correct`.
    """
    changes = correct_undo_retry.correct(engine, settings, files, label, by, folders, now, via="check")
    done = [change.id for change in changes if change.id is not None and change.problem is None]
    # If this is cut off, the correction counts as the answer.
    record_answers(engine, done, label, by, now())
    return changes


def undo(
    engine: Engine,
    settings: Settings,
    files: Sequence[Known],
    by: str,
    now: Callable[[], datetime] = _utc,
) -> list[Change]:
    """Take back the answers to photos, which wait for another then. Raises as `correct_undo_retry.undo`."""
    changes = correct_undo_retry.undo(engine, settings, by, files, now=now, via="check")
    forget_undone(engine)
    return changes
