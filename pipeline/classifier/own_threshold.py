"""The own threshold of `decision.calibration: own`, as the worker measured it for its model.

The file `own_threshold.json` in `state` has it, so that pages and commands decide as the worker does. It
holds for one model and one promise; with any other, the threshold of the model is used.
"""

from __future__ import annotations

import logging
from datetime import datetime

from pydantic import BaseModel, Field, ValidationError

from models import regular_files
from pipeline.files.replace_file import replace_file
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

FILE_NAME = "own_threshold.json"


class Record(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """What was measured, for which model and promise; `threshold` is None if the answers prove none.

    `answered` is the number of spot checks, `needed` how many more would prove the promise if they are right.
    """

    model_sha256: str
    target_precision: float = Field(ge=0, le=1)
    threshold: float | None = Field(ge=0, le=1)
    answered: int = Field(ge=0)
    needed: int | None = Field(ge=0)
    measured_at: datetime


def write(settings: Settings, record: Record) -> None:
    """Replace the file. Raises OSError."""
    replace_file(settings.state / FILE_NAME, [record.model_dump_json(indent=2).encode()])


def read(settings: Settings) -> Record | None:
    """Return what was measured last, None if nothing was; a damaged file is logged and counts as none."""
    path = settings.state / FILE_NAME
    try:
        return Record.model_validate_json(regular_files.read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        log.warning("%s: cannot be read: %s; the worker writes it again when it starts", path, error)
        return None


def in_use(settings: Settings, model_sha256: str) -> float | None:
    """Return the own threshold for a model, None if the settings ask for none or none is proven."""
    if settings.decision.calibration != "own":
        return None
    record = read(settings)
    if record is None or record.model_sha256 != model_sha256:
        return None
    return record.threshold if record.target_precision == settings.decision.target_precision else None


def described(settings: Settings) -> str | None:
    """Return one line on the own threshold for people, None if the settings ask for none."""
    decision = settings.decision
    if decision.calibration != "own":
        return None
    if decision.min_confidence is not None:
        return f"own: min_confidence {decision.min_confidence:g} replaces it"
    record = read(settings)
    if record is None or record.target_precision != decision.target_precision:
        return "own: not measured yet, the worker does that when it starts; until then the model's"
    if record.threshold is not None:
        return f"own: {record.threshold:.4f}, proven by {record.answered} answers"
    if record.needed is None:
        return "own: the answers until now disprove the promise; the model's is used"
    return f"own: the model's is used until {record.needed} more photos are right in `pawsort check`"
