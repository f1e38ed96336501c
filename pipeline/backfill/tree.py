"""List the photos of a source folder by folder, with the companions of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from db.schema.file_names import RawName
from pipeline.companions.names import NameIndex
from pipeline.companions.rules import kind
from pipeline.errors import PawsortError
from pipeline.watch.ignore_rules import ignorer


class Listed(NamedTuple):
    """A photo as it was listed: its path relative to the source, and the version seen.

    `mtime_ns` of an object of S3 has whole seconds, since PyArrow lists no ETag.
    `companions` are the names of the files beside it that belong to it.
    """

    path: RawName
    bytes: int
    mtime_ns: int
    companions: tuple[RawName, ...] = ()


Found = tuple[bytes, Listed | None]
"""The name of a file and its version, or the name of a folder and None."""


class Tree:
    """Folders with files, which a subclass can list; `root` is only compared with absolute patterns."""

    def __init__(self, root: bytes, ignore: Sequence[str], together: bool) -> None:
        self._root = root
        self._ignored = ignorer(ignore, root)
        self._together = together

    def entries(self, folder: bytes) -> Sequence[Found]:
        """Return name and version of each file in a folder, and the name of each folder with None.

        `folder` is relative to the root and ends in a slash, or is empty. Raises OSError.
        """
        raise NotImplementedError

    def list(self) -> Iterator[Listed]:
        """Yield each photo, in the order of the bytes of its path; memory grows with the largest folder.

        Raises PawsortError for a folder that cannot be listed.
        """
        yield from self._below(b"")

    def _below(self, folder: bytes) -> Iterator[Listed]:
        try:
            found = sorted(self.entries(folder), key=_place)
        except FileNotFoundError:
            return  # it was removed meanwhile
        except OSError as error:
            where = os.fsdecode(os.path.join(self._root, folder))
            raise PawsortError(
                f"{where}: cannot be listed: {error.strerror or error}; make it readable, or name it in "
                "watch.ignore"
            ) from error
        wanted = [pair for pair in found if not self._ignored(folder + pair[0])]
        index = _index(wanted) if self._together else NameIndex()
        for name, listed in wanted:
            path = folder + name
            if listed is None:
                yield from self._below(path + b"/")
            elif not self._together:
                yield listed._replace(path=path)
            elif kind(name) != "sidecar" and not index.is_companion(name):
                yield listed._replace(path=path, companions=index.companions(name))


def _index(found: Sequence[Found]) -> NameIndex:
    index = NameIndex()
    for name, listed in found:
        if listed:
            index.add(name)
    return index


def _place(found: Found) -> bytes:
    """Return what sorts by the paths below a folder, in which its name ends with a slash."""
    name, listed = found
    return name if listed else name + b"/"
