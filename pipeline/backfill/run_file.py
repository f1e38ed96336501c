"""`run.json`: what a run was planned with, written once and never changed."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.backfill.parts import LISTS, RESULTS, list_file
from pipeline.backfill.storage.ahead import ahead
from pipeline.backfill.storage.run_path import RunPath, at_once, read_small, write_whole
from pipeline.backfill.storage.run_path import run_path as run_path
from pipeline.errors import SettingsError
from pipeline.files.permissions import make_folder

NAME = "run.json"
_BYTES = 10_000_000


class RunFile(BaseModel):
    """What a run was planned with.

    `source` is escaped as in `db.schema.file_names`. `digest` is the SHA-256 of the lists. `threshold` and
    `folders` decide where a photo belongs; `actions` are the settings by which `load` files it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str
    source: str
    parts: int = Field(ge=1)
    photos: int = Field(ge=1)
    bytes: int = Field(ge=0)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    model: str
    model_sha256: str
    threshold: float = Field(ge=0, le=1)
    folders: dict[str, str]
    engine: str
    precision: str
    limits: dict[str, float]
    answer_key: str
    actions: dict[str, str]


def make_folders(run: RunPath) -> None:
    """Make the folder of a run, with those of its lists and results; S3 has none. Raises OSError."""
    if not isinstance(run, Path):
        return
    run.parent.mkdir(parents=True, exist_ok=True)
    for folder in (run, run / LISTS, run / RESULTS):
        make_folder(folder)


def write(run: RunPath, planned: RunFile) -> None:
    """Write `run.json`, which makes the plan whole. Raises OSError."""
    write_whole(run / NAME, planned.model_dump_json(indent=2).encode() + b"\n")


def read(run: RunPath) -> RunFile:
    """Return what a run was planned with. Raises SettingsError where it is missing or damaged."""
    path = run / NAME
    try:
        return RunFile.model_validate_json(read_small(path, _BYTES))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; `pawsort backfill plan SOURCE --out RUN` makes it"
        ) from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"{path}: is not of this version of Pawsort, or damaged: {where}: {first['msg']}"
        ) from error


def differences(planned: RunFile, now: RunFile) -> list[str]:
    """Return for each value of `run.json` that is another one now a line that says both."""
    before, after = planned.model_dump(), now.model_dump()
    return [
        f"{name}: planned with {_shown(before[name])}, now {_shown(after[name])}"
        for name in before
        if before[name] != after[name]
    ]


def _shown(value: Any) -> str:
    return json.dumps(value)[:200]


def digest(run: RunPath, parts: int) -> str:
    """Return the SHA-256 of the SHA-256 of each list, in their order. Raises OSError."""
    whole = hashlib.sha256()
    for one in ahead(partial(_digest, run), range(parts), at_once(run)):
        whole.update(one)
    return whole.hexdigest()


def _digest(run: RunPath, number: int) -> bytes:
    return hashlib.sha256(list_file(run, number).read_bytes()).digest()
