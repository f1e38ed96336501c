"""See symbolic links to originals as the files that they stand for."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from pipeline.files.links import Original, content_path, target_of
from pipeline.files.safe_open import lstat_any


class LinkedOriginals:
    """The symbolic links that name files of these inboxes (absolute); others are links and nothing else."""

    def __init__(self, inboxes: Sequence[bytes]) -> None:
        self._inboxes = [os.path.join(inbox, b"") for inbox in inboxes]

    def status(self, path: bytes) -> os.stat_result:
        """Return the status of a file, or of the original that a link names.

        Raises OSError, FileNotFoundError also if the original is gone.
        """
        found = lstat_any(path)
        if not stat.S_ISLNK(found.st_mode) or (original := self.original(path)) is None:
            return found
        return os.lstat(content_path(path, original))

    def original(self, path: bytes) -> Original | None:
        """Return the original that a symbolic link names, None for any other. Raises OSError."""
        target = target_of(path) or b""
        for inbox in self._inboxes:
            if target.startswith(inbox):
                return inbox[:-1], target[len(inbox) :]
        return None
