"""The worker's heartbeat: `state/heartbeat.json`, which `status` and health checks read.

The worker writes it about every second and whenever its health changes. It is not synced to disk; after a
crash the database counts. If the state folder takes no files, because its disk is full or read-only, the
heartbeat is written to the folder for temporary files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pipeline.files.replace_file import replace_file

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
FILE_NAME = "heartbeat.json"  # in the state folder
STALE = timedelta(seconds=5)
"""Five missed beats: more than a slow disk explains."""

Health = Literal["ok", "degraded", "red"]
State = Literal["starting", "watching", "paused", "stopping", "stopped"]
Liveness = Literal["starting", "running", "stalled", "stopped", "died"]

_MOMENTS = ("started_at", "at", "last_filed_at", "next_report_at")


@dataclass(frozen=True, slots=True)
class InboxBeat:
    """The state of one inbox; `waiting` counts its files that are not claimed yet.

    `overflows` counts how often the kernel's queue of events was full; a scan follows each time.
    """

    path: str
    mode: Literal["native", "polling"]
    health: Health
    reason: str | None
    waiting: int
    overflows: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The state of the worker; all moments are aware.

    `rate_per_second` counts files filed in the last minute, `waiting` files in inboxes and spool; `last_file`
    is the readable form of a name; `report_problem` and
    `backup_problem` are the reasons why reports and the nightly backup cannot be written now.
    `model_version` is the version at work, 0 for the base; `model_problem` says why the version in force is
    not, and `learning` what there is to know of learning. `crash_loop` says that the classifier crashes with
    every photo.
    """

    pid: int
    started_at: datetime
    at: datetime
    state: State
    health: Health
    reasons: tuple[str, ...] = ()
    inboxes: tuple[InboxBeat, ...] = ()
    engine: str | None = None
    model: str | None = None
    rate_per_second: float = 0.0
    waiting: int = 0
    last_filed_at: datetime | None = None
    last_file: str | None = None
    disk_free_bytes: int | None = None
    next_report_at: datetime | None = None
    report_problem: str | None = None
    model_version: int | None = None
    model_sha256: str | None = None
    model_problem: str | None = None
    learning: str | None = None
    backup_problem: str | None = None
    crash_loop: str | None = None

    def write(self, path: Path) -> None:
        """Replace the file at `path` atomically. Raises OSError, which should not stop the worker."""
        text = (json.dumps(self.as_dict(), indent=2) + "\n").encode()
        try:
            replace_file(path, [text], durable=False)
        except OSError:
            _write_elsewhere(path, text)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, moments as ISO 8601, `schema_version` first."""
        values = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        for name in _MOMENTS:
            values[name] = values[name].isoformat() if values[name] else None
        return values


def read(path: Path, now: datetime | None = None) -> Heartbeat | None:
    """Return the last heartbeat, or None if there is none that this version can parse.

    One that is later than `now` was written before the clock was set back, so any other is newer. Raises
    OSError if the file exists and cannot be read.
    """
    latest = (now or datetime.now(UTC)) + STALE
    plain = _elsewhere(path)
    elsewhere = [each for each in plain.parent.glob(f"{plain.stem}*.beat") if _is_theirs(each, path.parent)]
    beats = [_read(each) for each in (path, *elsewhere)]
    return max(filter(None, beats), key=lambda beat: (beat.at <= latest, beat.at), default=None)


def _write_elsewhere(path: Path, text: bytes) -> None:
    """Write a heartbeat to the folder for temporary files, to which all users may write. Raises OSError."""
    plain = _elsewhere(path)
    try:
        replace_file(plain, [text], durable=False)
    except PermissionError:  # another user has a file or link of this name
        replace_file(plain.with_name(f"{plain.stem}.{_word()}.beat"), [text], durable=False)


@cache
def _word() -> str:
    """Return a part of a name that no other user can guess, one for each process."""
    return secrets.token_hex(8)


def _elsewhere(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"pawsort-{name}.beat"


def _is_theirs(path: Path, folder: Path) -> bool:
    """Return whether the owner of `folder`, or root, made a file; any user can make a temporary file."""
    try:
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_uid in (folder.stat().st_uid, 0)
    except OSError:
        return False


def _read(path: Path) -> Heartbeat | None:
    try:
        return _parse(dict(json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("%s: is not a heartbeat of this version: %r", path, error)
        return None


def _parse(values: dict[str, Any]) -> Heartbeat:
    if (version := values.pop("schema_version")) != SCHEMA_VERSION:
        raise ValueError(f"expected schema_version {SCHEMA_VERSION}, received {version!r}")
    for name in _MOMENTS:
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    values["reasons"] = tuple(values["reasons"])
    values["inboxes"] = tuple(InboxBeat(**_known(InboxBeat, inbox)) for inbox in values["inboxes"])
    return Heartbeat(**_known(Heartbeat, values))


def _known(kind: type[Heartbeat | InboxBeat], values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a later version's worker adds, so that pages of this version go on beside it."""
    names = {each.name for each in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def liveness(heartbeat: Heartbeat | None, now: datetime, worker_lock_held: bool) -> Liveness:
    """Return whether a worker is alive, from its last heartbeat and its lock.

    The lock decides, since the kernel releases it when the process ends in any way. The heartbeat only shows
    whether a running worker hangs ("stalled": no beat within STALE before or after `now`, since the clock may
    have been set back).
    """
    if not worker_lock_held:
        return "stopped" if heartbeat is None or heartbeat.state == "stopped" else "died"
    if heartbeat is None or heartbeat.state == "stopped":
        return "starting"
    return "stalled" if abs(now - heartbeat.at) > STALE else "running"
