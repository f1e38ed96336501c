"""The worker's refusal of the version in force: `refused.json` beside the record, for commands and pages.

The worker writes it when it cannot use the version in force and stays with another, and removes it once the
version in force is at work. It holds as long as that version is in force, also while no worker runs.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from models import regular_files
from models.errors import in_words
from pipeline.files.replace_file import replace_file

log = logging.getLogger(__name__)

FILE_NAME = "refused.json"
LARGEST = 100_000  # bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The worker does not use `version`, the number in force, but `at_work`; `problem` says why."""

    version: int
    at_work: int
    problem: str


def read(folder: Path) -> Refusal | None:
    """Return the refusal in the folder of versions, None without one or if it cannot be read."""
    try:
        content = json.loads(regular_files.read(folder / FILE_NAME, LARGEST))
        version, at_work = content["version"], content["at_work"]
        if any(type(number) is not int or number < 0 for number in (version, at_work)):
            return None
        return Refusal(version, at_work, str(content["problem"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def write(folder: Path, refusal: Refusal) -> None:
    """Write the refusal, unless it is known; a failure is only logged, since the worker can go on."""
    if read(folder) == refusal:
        return
    try:
        replace_file(folder / FILE_NAME, [(json.dumps(asdict(refusal), indent=2) + "\n").encode()])
    except OSError as error:
        log.warning("%s: cannot be written: %s", folder / FILE_NAME, in_words(error))


def remove(folder: Path) -> None:
    """Remove the refusal, if there is one; a failure is only logged."""
    try:
        with suppress(FileNotFoundError):
            os.unlink(folder / FILE_NAME)
    except OSError as error:
        log.warning("%s: cannot be removed: %s", folder / FILE_NAME, in_words(error))
