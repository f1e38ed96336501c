"""What the worker remembers of `sorted` from run to run, in a file of the state folder."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from db.schema.file_names import escape, unescape
from pipeline.files.replace_file import replace_file

log = logging.getLogger(__name__)

NAME = "sorted_folders.json"


@dataclass(slots=True)
class Memory:
    """The inodes of folders by name; a moment, in seconds since 1970; and the highest id of a row so far.

    `mounts` are the folders, relative to `sorted`, on which disks were mounted.

    Files that were in the folder of a class before the moment may have been put there by Pawsort, for a
    database that is lost: their folders say nothing.
    """

    path: Path
    labels_since: float
    last_id: int = 0
    inodes: dict[bytes, int] = field(default_factory=dict)
    mounts: set[bytes] = field(default_factory=set)
    problem: str | None = None
    """Why the file could not be written last time."""

    def follow(self, last_id: int, now: float) -> None:
        """Note the highest id of a row now; if it is lower than before, the database is another one."""
        if last_id < self.last_id:
            self.labels_since = now
        if last_id != self.last_id:
            self.last_id = last_id
            self.save()

    def save(self) -> None:
        """Write the file; a failure is only logged, once for each reason."""
        names = {escape(name): inode for name, inode in self.inodes.items()}
        values = {"labels_since": self.labels_since, "last_id": self.last_id, "folders": names}
        values["mounts"] = [escape(path) for path in sorted(self.mounts)]
        try:
            replace_file(self.path, [json.dumps(values).encode()], durable=False)
        except OSError as error:
            if error.strerror != self.problem:
                log.warning("%s: cannot be written: %s", self.path, error.strerror)
            self.problem = error.strerror
        else:
            self.problem = None


def load(state: Path, now: float) -> Memory:
    """Read the memory of a state folder; without one, `now` is the moment."""
    path = state / NAME
    try:
        values = json.loads(path.read_bytes())
        inodes = {unescape(name): int(inode) for name, inode in values["folders"].items()}
        mounts = {unescape(folder) for folder in values.get("mounts", [])}
        return Memory(path, float(values["labels_since"]), int(values["last_id"]), inodes, mounts)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        log.warning("%s: cannot be used: %s; it is made anew", os.fspath(path), error)
    memory = Memory(path, now)
    memory.save()
    return memory
