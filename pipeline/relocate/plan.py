"""What would follow a moved folder, and what speaks against it. Nothing is changed here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db.ledger import prefixes
from db.schema.file_names import escape
from db.schema.records import Entry, from_words
from pipeline.errors import SettingsError
from pipeline.files.copy import identity
from pipeline.files.links import target_of
from pipeline.files.moved_folder import MovedFolder
from pipeline.logs import printable_lines
from pipeline.settings.config import Settings
from pipeline.worker import heartbeat
from pipeline.worker.locks import holder


@dataclass(slots=True)
class Plan:
    """What would be done, and the problems, for each of which nothing is done.

    `rows` counts paths by column; `found` the files that are at their new paths, `missing` those that are
    neither there nor at their old ones; `links` the symbolic links that lead to the old folder. `old_state`
    is the state folder that is to be marked, None if there is none.
    """

    move: MovedFolder
    rows: dict[str, int]
    found: int = 0
    missing: int = 0
    links: int = 0
    old_state: Path | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to do."""
        return not any(self.rows.values()) and not self.links

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "old": escape(self.move.old), "new": escape(self.move.new), "rows": self.rows,
            "found": self.found, "missing": self.missing, "links": self.links,
            "old_state": os.fspath(self.old_state) if self.old_state else None, "problems": self.problems,
        }  # fmt: skip

    def as_text(self, done: bool) -> str:
        """Return lines for people, of what was done or would be."""
        if self.is_empty and not self.problems:
            return f"nothing to do: no row names {escape(self.move.old)} or a path in it"
        lines = [f"{column:18} {count}" for column, count in self.rows.items()]
        lines += [f"{'files found':18} {self.found}", f"{'files missing':18} {self.missing}"]
        lines += [f"{'symbolic links':18} {self.links}"]
        if self.old_state:
            lines.append(f"{self.old_state} is {'' if done else 'to be '}marked: no worker starts there")
        lines += [f"problem: {problem}" for problem in self.problems]
        if not done and not self.problems:
            lines.append("nothing was changed; --apply does it")
        return printable_lines("\n".join(lines))


def moved_folder(old: Path, new: Path) -> MovedFolder:
    """Return the move, or the copy, of one folder to another. Raises SettingsError for impossible paths."""
    paths = [os.path.abspath(os.fsencode(path)) for path in (old, new)]
    if paths[0] == paths[1] or b"/" in paths:
        raise SettingsError(f"{old} and {new}: expected two different folders, none of them /")
    if not os.path.isdir(paths[1]):
        raise SettingsError(f"{new}: is no folder; move the files there first, or mount its disk")
    return MovedFolder(*paths)


def plan(engine: Engine, settings: Settings, move: MovedFolder) -> Plan:
    """Return what would follow a moved folder. Raises DatabaseError."""
    made = Plan(move, prefixes.count(engine, move.old, move.new))
    made.problems += _settings_of_the_old(settings, move)
    made.old_state = _old_state(settings, move)
    if made.old_state:
        made.problems += _at_work(made.old_state)
    _look_for_files(engine, made)
    made.links = sum(1 for _ in links_to_old(engine, move))
    return made


def links_to_old(engine: Engine, move: MovedFolder) -> Iterator[tuple[bytes, bytes]]:
    """Yield symbolic links, of rows and companions, to the old folder, each with the target that it needs."""
    from pipeline.companions.moving import beside

    for entry in prefixes.links(engine):
        path = move.follow(entry.path or b"")
        there = beside(path, os.path.basename(entry.source), entry.companion_names)
        for each in (path, *there):
            target = _target(each)
            if target is not None and move.has_left(target):
                yield each, move.follow(target)


def _look_for_files(engine: Engine, made: Plan) -> None:
    """Count the files that are at their new paths; a problem are those that are only at their old ones."""
    move, left, changed, kept = made.move, list[bytes](), 0, 0
    for entry in prefixes.entries_below(engine, move.old, move.new):
        old = entry.path or b""
        if entry.state in ("filed", "undone") and move.has_left(old):
            if os.path.lexists(move.follow(old)):
                made.found += 1
            elif os.path.lexists(old):
                left.append(old)
            else:
                made.missing += 1
        if (same := _is_original_kept(entry, move)) is not None:
            kept, changed = kept + same, changed + (not same)
    if left:
        made.problems.append(
            f"{len(left)} files are still at the old place only, such as {escape(left[0])}; move them too"
        )
    elif made.missing and not made.found:
        made.problems.append(f"no file of these rows is in {escape(move.new)}; name the folder that has them")
    if changed > kept:
        made.problems.append(
            f"{changed} originals have other times than when they were taken, so that they would all be "
            "taken again; copy them with their times (`cp -a`, `rsync -a`)"
        )


def _is_original_kept(entry: Entry, move: MovedFolder) -> bool | None:
    """Return whether the original of a row is known at its new place; None if there is none to look for."""
    inbox = os.fsencode(entry.inbox)
    if entry.original is None or not move.has_left(inbox):
        return None
    try:
        seen = identity(os.path.join(move.follow(inbox), entry.source))
    except OSError:
        return None
    return seen[2:] == from_words(entry.original)[2:]


def _settings_of_the_old(settings: Settings, move: MovedFolder) -> list[str]:
    places = {"sorted": settings.sorted, "state": settings.state}
    places |= {f"inboxes.{number}": inbox for number, inbox in enumerate(settings.inboxes)}
    return [
        f"{name}: {folder} is in the old folder; change the settings first"
        for name, folder in places.items()
        if move.has_left(os.fsencode(folder))
    ]


def _old_state(settings: Settings, move: MovedFolder) -> Path | None:
    """Return the state folder that is still where it was, or a copy of it, if it was moved."""
    before = move.before(os.fsencode(settings.state))
    if before is None or not os.path.isdir(before) or os.path.samefile(before, settings.state):
        return None
    return Path(os.fsdecode(before))


def _at_work(state: Path) -> list[str]:
    """Return a problem if a worker uses a state folder: by its lock, or from another machine by its beat."""
    pid = holder(state)
    beat = heartbeat.read(state / heartbeat.FILE_NAME)
    now = datetime.now(UTC)
    is_fresh = beat is not None and beat.state != "stopped" and abs(now - beat.at) <= heartbeat.STALE
    if pid is None and not is_fresh:
        return []
    who = f"process {pid}" if pid else "perhaps on another machine"
    return [f"a worker ({who}) is at work on {state}; stop it first"]


def _target(path: bytes) -> bytes | None:
    try:
        return target_of(path)
    except OSError:
        return None
