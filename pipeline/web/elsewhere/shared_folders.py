"""Files of other machines in folders that are mounted here too, as `web.shared` of the settings says.

A path means nothing across machines, so a file counts only if its content is that of the row.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from db.schema.file_names import unescape
from pipeline.files.safe_open import Opened, opened
from pipeline.settings.config import Settings
from pipeline.thumbnails.content import Content, below

MOST_KNOWN = 10_000
"""Contents that are remembered as checked."""

_PIECE_BYTES = 1_000_000

Seen = tuple[bytes, int, int, int, int, int]
"""A path here, and the device, inode, size, mtime and ctime of the file that was checked there."""


class SharedFolders:
    """Find files of other machines, and check their content once; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._folders = {
            worker: {there: settings.base / here for there, here in folders.items()}
            for worker, folders in settings.web.shared.items()
        }
        self._known: OrderedDict[Seen, str] = OrderedDict()
        self._lock = threading.Lock()

    def place(self, worker: str, path: bytes) -> Content | None:
        """Return where a path of another machine is here, None if it is below no shared folder."""
        for there, here in self._folders.get(worker, {}).items():
            if found := below([there], path):
                return Content(here, found.inside)
        return None

    def find(self, worker: str, row: Mapping[str, Any]) -> Content | None:
        """Return the file here that has the content of a row of `results`, None if there is none."""
        if row["path"] is None or row["sha256"] is None:
            return None
        is_link = row["action"] == "symlink" and row["state"] != "undone"
        content = self.place(worker, unescape(row["source_path" if is_link else "path"]))
        if content is None:
            return None
        with suppress(OSError), opened(content.root, content.inside) as file:
            if file.stat.st_size == row["bytes"] and self._digest(content, file) == row["sha256"]:
                return content
        return None

    def _digest(self, content: Content, file: Opened) -> str:
        status = file.stat
        path = os.path.join(os.fsencode(content.root), content.inside)
        seen = (path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        with self._lock:
            if known := self._known.get(seen):
                return known
        digest = hashlib.sha256()
        while piece := os.read(file.fd, _PIECE_BYTES):
            digest.update(piece)
        with self._lock:
            self._known[seen] = digest.hexdigest()
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return digest.hexdigest()
