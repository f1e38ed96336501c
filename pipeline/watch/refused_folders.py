"""Log each folder that refuses to release or accept files once, and once more when it stops refusing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

log = logging.getLogger(__name__)

MOST = 10_000
_PARTICIPLES = {"take": "taken", "read": "read", "file": "filed", "list": "listed"}

Verb = Literal["take", "read", "file", "list"]
_Key = TypeVar("_Key")
_Folder = tuple[Verb, bytes, str]  # the refused operation, the folder and the reason


class Refusals(Generic[_Key]):
    """Remember at most 10,000 refused files, each by its key, and log each folder once."""

    def __init__(self) -> None:
        self._folder_of: dict[_Key, _Folder] = {}
        self._files: dict[_Folder, set[_Key]] = {}

    def __len__(self) -> int:
        """Return the number of files that are refused at present."""
        return len(self._folder_of)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return for each folder what it refuses and why, as text for people."""
        return tuple(
            f"{os.fsdecode(folder)}: files cannot be {_PARTICIPLES[verb]}: {reason}"
            for verb, folder, reason in self._files
        )

    def add(self, key: _Key, verb: Verb, path: bytes, reason: str) -> None:
        """Record that the file at `path` was refused; log it unless its folder was logged for this reason."""
        folder = (verb, os.path.dirname(path), reason)
        if self._folder_of.get(key) == folder or len(self) >= MOST:
            return
        self._drop(key)
        if folder not in self._files:
            log.warning(
                "cannot %s %a: %s; all files of this folder are retried, further ones are not logged",
                *(verb, os.fsdecode(path), reason),
            )
        self._folder_of[key] = folder
        self._files.setdefault(folder, set()).add(key)

    def clear(self, key: _Key) -> None:
        """Forget a file that is no longer refused, or gone; log it if it was the last one of its folder."""
        folder = self._drop(key)
        if folder and folder not in self._files:
            log.warning("%a: no file is refused here any more (%s)", os.fsdecode(folder[1]), folder[2])

    def keep(self, known: Callable[[_Key], bool]) -> None:
        """Forget each file that is no longer `known`."""
        for key in [key for key in self._folder_of if not known(key)]:
            self.clear(key)

    def _drop(self, key: _Key) -> _Folder | None:
        folder = self._folder_of.pop(key, None)
        if folder:
            self._files[folder].discard(key)
            if not self._files[folder]:
                del self._files[folder]
        return folder
