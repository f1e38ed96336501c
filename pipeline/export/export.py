"""Copy or link filed photos into folders of their labels; a second run adds what is new.

No file is overwritten or removed. Each photo is compared with the SHA-256 of its row; its line in the list
follows, so that an export that was interrupted finds its own files again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine

from db.queries import listing
from db.queries.listing import ResultFilter
from db.queries.workers import name_of
from db.schema.file_names import unescape
from models.labels import NEITHER, why_not
from pipeline.classifier.configured_model import load_bundle
from pipeline.companions.moving import beside
from pipeline.errors import PawsortError, SettingsError
from pipeline.export.manifest import NAME, Manifest
from pipeline.files import moves
from pipeline.files.exact_copy import ContentChangedError, put
from pipeline.files.exclusive_lock import exclusive
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.links import Original, content_path, target_of
from pipeline.settings.config import Settings

Layout = Literal["class", "original"]

LOCK_NAME = ".pawsort-export.lock"

_MOVED_MEANWHILE = 3
"""Times that a photo is looked up again because a correction moved it after its row was read."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to export: `layout` "class" is a folder for each label, "original" the folders of the inboxes."""

    layout: Layout = "class"
    link: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """The result for one photo: its path relative to the export's folder, or the `problem`.

    `is_new` is False for a photo that was there already. A photo without a label has neither path nor
    problem; neither has one that another worker has, `elsewhere`.
    """

    name: str
    path: bytes | None = None
    is_new: bool = False
    problem: str | None = None
    elsewhere: str | None = None


def export(
    engine: Engine, settings: Settings, folder: Path, filters: ResultFilter, way: Way
) -> Iterator[Exported]:
    """Export the filed photos that pass `filters` into `folder`; yield a result for each.

    Those that other workers have are not exported: their files are on other machines.
    `folder` is new, empty, or has an earlier export. Raises SettingsError for any other, PawsortError if the
    disk takes no file or no link, LockError, ModelError, DatabaseError.
    """
    folder = Path(os.path.abspath(folder))
    _refuse_overlap(folder, settings)
    folders = load_bundle(settings).folders
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    problem = f"another export into {folder} is running; try again later"
    with exclusive(folder / LOCK_NAME, 0, problem), Manifest(folder) as manifest:
        exporter = _Exporter(engine, os.fsencode(folder), manifest, folders, settings, way)
        own = name_of(engine)
        for row in listing.results(engine, filters):
            if row["state"] != "filed":
                continue
            if own is not None and row["worker"] != own:
                yield Exported(row["path"], elsewhere=row["worker"])
            else:
                yield exporter.export(row)


def _refuse_overlap(folder: Path, settings: Settings) -> None:
    real = Path(os.path.realpath(folder))
    for place in (*settings.inboxes, settings.sorted, settings.state, settings.reports):
        other = Path(os.path.realpath(place))
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise SettingsError(f"{folder}: lies in {place}, or around it; name a folder beside it")


def _refuse_foreign(folder: Path) -> None:
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}; name a new or empty folder") from error
    # An export that was killed at its beginning leaves an unfinished list.
    foreign = {name for name in names - {LOCK_NAME} if not name.startswith(f".{NAME}.")}
    if foreign and NAME not in names:
        raise SettingsError(f"{folder}: has other files, and no {NAME} of an export; name a new folder")


class _Exporter:
    """Export one photo after the other."""

    def __init__(
        self,
        engine: Engine,
        root: bytes,
        manifest: Manifest,
        folders: Mapping[str, str],
        settings: Settings,
        way: Way,
    ) -> None:
        self._engine = engine
        self._root = root
        self._manifest = manifest
        self._label_of = {folder: label for label, folder in reversed(list(folders.items()))}
        self._sorted = os.fsencode(settings.sorted)
        self._way = way

    def export(self, row: dict[str, Any]) -> Exported:
        """Export the photo of a row, unless it is there already."""
        for _ in range(_MOVED_MEANWHILE):
            try:
                return self._export(row)
            except FileNotFoundError:
                now = listing.result(self._engine, row["id"])
                if now is None or now["state"] != "filed" or now["path"] == row["path"]:
                    break
                row = now
            except ContentChangedError as error:
                return Exported(row["path"], problem=str(error.strerror))
            except OSError as error:
                self._refuse_disk(error)
                return Exported(row["path"], problem=error.strerror or str(error))
        return Exported(row["path"], problem="is missing")

    def _export(self, row: dict[str, Any]) -> Exported:
        label = row["corrected_to"] or self._label_of.get(row["outcome"])
        if self._way.layout == "class":
            if label is None:
                return Exported(row["path"])
            if label != NEITHER and (problem := why_not(label)):
                return Exported(row["path"], problem=f"its label cannot be the name of a folder: {problem}")
        known = self._manifest.known(row)
        if known is not None and (there := self._there(row, known.path)) is not None:
            if not there:
                return Exported(row["path"], problem=f"{os.fsdecode(known.path)} in the export has changed")
            if known.label == (label or "") or self._way.layout == "original":
                self._put_companions(row, os.path.join(self._root, known.path))
                return self._kept(row, known.path, known.label, label)
            return self._relabelled(row, known.path, label or "")
        return self._added(row, label)

    def _there(self, row: Mapping[str, Any], path: bytes) -> bool | None:
        """Return whether a photo that was exported before is unchanged; None if it is gone."""
        try:
            content = moves.sha256(os.path.join(self._root, path))
        except FileNotFoundError:
            return None
        return row["sha256"] is None or content == row["sha256"]

    def _kept(self, row: dict[str, Any], path: bytes, before: str, label: str | None) -> Exported:
        if before != (label or ""):
            self._manifest.add(row, path, label or "")
        return Exported(row["path"], path)

    def _relabelled(self, row: dict[str, Any], path: bytes, label: str) -> Exported:
        """Move a photo that a person gave another label since: under two labels, `train` would use none."""
        source = os.path.join(self._root, path)
        destination = self._free(row, label, set())
        moves.move(source, destination)
        moves.sync_folders(map(os.path.dirname, (destination, source)))
        return self._listed(row, destination, label, is_new=False)

    def _added(self, row: dict[str, Any], label: str | None) -> Exported:
        source = content_path(unescape(row["path"]), _original(row))
        refused: set[bytes] = set()
        while True:
            destination = self._free(row, label or "", refused)
            # A file of this content that no line names is of an export that was interrupted.
            if not os.path.lexists(destination):
                try:
                    put(source, destination, row["sha256"], link=self._way.link)
                except FileExistsError:
                    refused.add(destination)
                    continue
            self._put_companions(row, destination)
            moves.sync_folders([os.path.dirname(destination)])
            return self._listed(row, destination, label or "", is_new=True)

    def _put_companions(self, row: Mapping[str, Any], destination: bytes) -> None:
        """Put the companions of a photo beside it, unless they are there or gone."""
        for source, goal in self._companions(row, destination):
            if not os.path.lexists(goal):
                with contextlib.suppress(FileNotFoundError):
                    put(_followed(source, row), goal, None, link=self._way.link)

    def _companions(self, row: Mapping[str, Any], destination: bytes) -> list[tuple[bytes, bytes]]:
        """Return where the companions of a photo are, and where they go in the layout of the inboxes.

        `train` takes the other layout, and these are no photos.
        """
        if self._way.layout == "class" or not row["companions"]:
            return []
        names, arrived = list(map(unescape, row["companions"])), os.path.basename(_source(row))
        here = beside(unescape(row["path"]), arrived, names)
        return list(zip(here, beside(destination, arrived, names), strict=True))

    def _listed(self, row: dict[str, Any], destination: bytes, label: str, *, is_new: bool) -> Exported:
        path = os.path.relpath(destination, self._root)
        self._manifest.add(row, path, label)
        return Exported(row["path"], path, is_new)

    def _free(self, row: Mapping[str, Any], label: str, refused: set[bytes]) -> bytes:
        """Return a path for the photo: the wanted one, or one with a number; its folder is made."""

        def taken(path: bytes) -> bool:
            listed = os.path.relpath(path, self._root) in self._manifest.paths
            return path in refused or listed or (os.path.lexists(path) and not self._is_ours(path, row))

        by_class = self._way.layout == "class"
        root = os.path.join(self._root, os.fsencode(label)) if by_class else self._root

        def others(path: bytes) -> list[bytes]:
            pairs = self._companions(row, path)
            return [goal for here, goal in pairs if os.path.lexists(goal) and not _is_same(here, goal)]

        source = self._below(row) if by_class else _source(row)
        destination = moves.destination(root, source, taken, beside=others)
        moves.make_folders(os.path.dirname(destination), root)
        return destination

    def _is_ours(self, path: bytes, row: Mapping[str, Any]) -> bool:
        if row["sha256"] is None or not os.path.isfile(path) or os.path.islink(path):
            return False
        same: bool = moves.sha256(path) == row["sha256"]
        return same

    def _below(self, row: Mapping[str, Any]) -> bytes:
        """Return the path below the photo's folder under `sorted`, or its name if it lies elsewhere."""
        path, folder = unescape(row["path"]), os.path.join(self._sorted, os.fsencode(row["outcome"]), b"")
        return path.removeprefix(folder) if path.startswith(folder) else os.path.basename(path)

    def _refuse_disk(self, error: OSError) -> None:
        """Raise PawsortError for an error that each photo would have."""
        if error.errno in SYSTEM_ERRNOS or isinstance(error, moves.FolderError):
            raise PawsortError(f"{os.fsdecode(self._root)}: {error.strerror}; run it again to continue")
        if self._way.link and error.errno in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP):
            raise PawsortError(
                f"{os.fsdecode(self._root)}: cannot link photos there: {error.strerror}; leave out --link"
            )


def _original(row: Mapping[str, Any]) -> Original | None:
    """Return the original that the photo's symbolic link names; None if it is a file."""
    return (unescape(row["inbox"]), _source(row)) if row["action"] == "symlink" else None


def _followed(companion: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the file that a companion is, or that its symbolic link names: that of its photo's folder.

    Raises FileNotFoundError if that is gone, OSError if it names another one.
    """
    if row["action"] != "symlink" or (target := target_of(companion)) is None:
        return companion
    name = os.path.join(os.path.dirname(_source(row)), os.path.basename(target))
    return content_path(companion, (unescape(row["inbox"]), name))


def _is_same(a: bytes, b: bytes) -> bool:
    """Return whether two files have one content."""
    return os.path.isfile(a) and os.path.isfile(b) and moves.sha256(a) == moves.sha256(b)


def _source(row: Mapping[str, Any]) -> bytes:
    """Return the path that the photo had below its inbox."""
    return unescape(row["source_path"])[len(unescape(row["inbox"])) + 1 :]
