"""Find filed files after their folders were moved or renamed: rows name absolute paths.

A file is found by the end of its path: `/old/sorted/cats/trip/a.jpg` is looked up as `cats/trip/a.jpg` under
the current `sorted`, and as `trip/a.jpg` in each folder there that belongs to no label, since that may be
`cats` under another name. It must have the size that its row records, and no other row may name it.

In a copied installation the files that rows name belong to the first one, and must not be moved. A file there
is found in the same way although the path of its row exists, if that is outside of `sorted`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from db.ledger.ledger import Entry
from db.queries.listing import counts, filed_at_paths
from db.schema.file_names import escape
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN
from pipeline.errors import PawsortError
from pipeline.files import moves
from pipeline.files.links import content_path
from pipeline.files.moved_folder import MovedFolder
from pipeline.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Relocation(MovedFolder):
    """A folder that rows name, and the folder that has its files now, or copies of them."""

    is_copy: bool = False


class Relocations:
    """Find filed files that are not at the paths of their rows."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._sorted = os.fsencode(settings.sorted)
        self._renamed = _renamed(self._sorted, _outcomes(engine, settings))

    def find(self, entry: Entry) -> Relocation | None:
        """Return the relocation that leads from the path of `entry` to its file, else None."""
        return self.find_all([entry]).get(entry.id)

    def find_all(self, entries: Sequence[Entry]) -> dict[int, Relocation]:
        """Return by id what `find` returns for each of `entries`, with one query for 500 paths."""
        found = {entry.id: list(self._with_files(entry)) for entry in entries}
        taken = filed_at_paths(self._engine, {path for pairs in found.values() for _, path in pairs})
        free = {id: [each for each, path in pairs if path not in taken] for id, pairs in found.items()}
        return {id: relocations[0] for id, relocations in free.items() if relocations}

    def following(self, relocation: Relocation, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries whose file is missing at its path and found by this relocation."""
        old = os.path.join(relocation.old, b"")
        inside = [e for e in entries if e.path and e.path.startswith(old)]
        found = self.find_all(inside)
        return [entry for entry in inside if found.get(entry.id) == relocation]

    def is_outside(self, entry: Entry) -> bool:
        """Return whether a row names a path outside of `sorted`, which may be of another installation."""
        return not (entry.path or b"").startswith(os.path.join(self._sorted, b""))

    def _with_files(self, entry: Entry) -> Iterator[tuple[Relocation, bytes]]:
        """Yield the relocations that lead to a file of the size of `entry`, with its path."""
        for relocation in self._candidates(entry):
            path = relocation.follow(entry.path or b"")
            if _is_file_of(path, entry) and not _is_same(relocation):
                yield relocation, path

    def _candidates(self, entry: Entry) -> Iterator[Relocation]:
        parts, is_copy = (entry.path or b"").split(b"/"), os.path.lexists(entry.path or b"")
        if is_copy and not self.is_outside(entry):
            return
        for depth in range(1, len(parts) - 1):
            old = b"/".join(parts[: depth + 1])
            for name in self._names(parts[depth], os.fsencode(entry.outcome or "")):
                new = os.path.join(self._sorted, name)
                if new != old:
                    yield Relocation(old, new, is_copy)

    def _names(self, folder: bytes, outcome: bytes) -> list[bytes]:
        if folder == outcome:
            return [folder, *self._renamed]
        return [folder] if folder in self._renamed else []


def inbox_of(entry: Entry, settings: Settings) -> bytes:
    """Return the inbox into which a file may be put back: its own, or its replacement in the settings.

    The replacement is the inbox of the same base name, since its own may be that of an installation of which
    this one is a copy; or the first, if its own is no folder now.
    """
    own = os.fsencode(entry.inbox)
    inboxes = [os.fsencode(inbox) for inbox in settings.inboxes]
    named = [inbox for inbox in inboxes if os.path.basename(inbox) == os.path.basename(own)]
    if own in inboxes or (os.path.isdir(own) and not named):
        return own
    return (named or inboxes)[0]


def relocated(engine: Engine, paths: Sequence[bytes], relocations: Iterable[Relocation]) -> set[bytes]:
    """Return which of these files are in a new folder while their rows name the old one."""
    found: set[bytes] = set()
    for relocation in relocations:
        before = {old: path for path in paths if (old := relocation.before(path)) is not None}
        for old, entry in filed_at_paths(engine, list(before)).items():
            if (relocation.is_copy or not os.path.lexists(old)) and _is_file_of(before[old], entry):
                found.add(before[old])
    return found


def advice(entry: Entry, relocation: Relocation) -> str:
    """Return text that says that a file was relocated, and what to do."""
    old = entry.path or b""
    return (
        f"is recorded as {escape(old)} and is at {escape(relocation.follow(old))} "
        f"{'too, as in a copied installation' if relocation.is_copy else 'now'}; "
        "run `pawsort doctor --repair`, which updates the rows, then try again"
    )


def _outcomes(engine: Engine, settings: Settings) -> set[bytes]:
    # Imported here, because it imports NumPy, which `doctor` needs only for this.
    from pipeline.classifier.configured_model import load_bundle, outcome_folders

    known = {*counts(engine), UNCERTAIN, FAILED, DUPLICATES}
    with contextlib.suppress(PawsortError):  # other commands report what is wrong with the model
        known.update(outcome_folders(load_bundle(settings)))
    return set(map(os.fsencode, known))


def _renamed(folder: bytes, outcomes: Collection[bytes]) -> list[bytes]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if name not in outcomes and moves.is_folder(os.path.join(folder, name))]


def _is_file_of(path: bytes, entry: Entry) -> bool:
    """Return whether `path` may be the file of a row, or its symbolic link."""
    try:
        return is_file_of(content_path(path, entry.link), entry.bytes)
    except OSError:
        return False


def is_file_of(path: bytes, size: int) -> bool:
    """Return whether `path` is a file of this size."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _is_same(relocation: Relocation) -> bool:
    """Return whether both are one folder, by a link or mount; files of a copy may be hard links."""
    try:
        return os.path.samefile(relocation.old, relocation.new)
    except OSError:
        return False
