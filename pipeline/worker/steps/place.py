"""The last step of a file: commit its decision, then move it into its folder."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Container, Sequence
from datetime import datetime

from db.ledger.ledger import FileDecision, Ledger
from pipeline.companions import moving
from pipeline.decision import FAILED
from pipeline.files import moves, naming
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.known_folder import KnownFolder, folder_id
from pipeline.files.links import content_identity
from pipeline.files.safe_open import refuse_unwritable
from pipeline.settings.config import Settings
from pipeline.watch.refused_folders import Refusals
from pipeline.worker.steps.held_file import InProgressFile, MissingFiles, RetryQueue, left_identity, put_back

log = logging.getLogger(__name__)


class PlaceStep:
    """Commit decisions, then move the files into their folders. `now` gives UTC.

    `root` is `sorted` as it was at the start. `refusals` are files that wait because their
    folder refuses them, while files of other folders are filed.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        retries: RetryQueue,
        missing: MissingFiles,
        now: Callable[[], datetime],
        root: KnownFolder,
    ) -> None:
        self.refusals = Refusals[int]()
        self._ledger = ledger
        self._settings = settings
        self._sorted = os.fsencode(settings.sorted)
        self._spool = os.fsencode(settings.spool)
        self._retries = retries
        self._missing = missing
        self._now = now
        self._root = root
        self._classified: deque[InProgressFile] = deque()
        self._changed: list[InProgressFile] = []
        self._decided: deque[InProgressFile] = deque()
        self._moved: list[InProgressFile] = []
        self._filed: list[InProgressFile] = []
        self._unsynced: dict[bytes, None] = {}

    @property
    def held(self) -> int:
        """How many files have a decision and are not filed."""
        return len(self._classified) + len(self._decided) + len(self._moved)

    @property
    def moved(self) -> list[InProgressFile]:
        """The files in their folders that the ledger does not have as filed yet."""
        return self._moved

    def enqueue(self, file: InProgressFile) -> None:
        """Take a file whose decision is in the ledger."""
        self._decided.append(file)

    def enqueue_classified(self, files: Sequence[InProgressFile]) -> None:
        """Take files whose decision is not in the ledger yet."""
        self._classified.extend(files)

    def clear(self) -> None:
        """Forget the files whose decision is in the ledger, before recovery reads all of them from it."""
        self._decided.clear()

    def add_filed(self, files: Sequence[InProgressFile]) -> None:
        """Add files to those that `take_filed` returns."""
        self._filed += files

    def take_filed(self) -> list[InProgressFile]:
        """Return the files that were filed since the last call."""
        filed, self._filed = self._filed, []
        return filed

    def commit_decisions(self) -> list[InProgressFile]:
        """Choose destinations and commit the decisions; return their files, and those that start over."""
        for file in list(self._classified):
            if not self._is_unchanged(file):
                self._classified.remove(file)
                self._changed.append(file)
        decided = self._with_destinations()
        if decided:
            self._ledger.decide([_decision(file) for file in decided], self._now())
        concluded = [*self._changed, *decided]
        self._changed.clear()
        self._classified.clear()
        self._decided.extend(decided)
        return concluded

    def move_files(self) -> None:
        """Rename the decided files, make the renames durable, and record the files as filed."""
        try:
            while self._decided:
                self._place(self._decided[0])
        finally:
            self._commit_moved()

    def _with_destinations(self) -> list[InProgressFile]:
        promised = self._promised()
        decided = []
        for file in self._classified:
            destination = self._place_of(file, promised)
            promised.update(_goals(file, destination))
            decided.append(_moving_to(file, destination))
        return decided

    def _place(self, file: InProgressFile) -> None:
        destination = file.destination
        assert destination is not None
        self._root.check()
        if not self._is_in_sorted(file):
            self._leave(file, destination)
            return
        try:
            self._move(file, destination)
        except FileExistsError:
            self._redirect(file)
            return
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(file.spool):
                self._missing.add(file)
                self._decided.popleft()
                return
            # Part of an interrupted copy may be left at the destination.
            self._decided[0] = file._replace(resumed=True)
            self._rename_or_wait(file, destination, error)
            return
        self._arrived(file, destination)

    def _arrived(self, file: InProgressFile, destination: bytes) -> None:
        self._decided.popleft()
        self._unsynced |= dict.fromkeys((os.path.dirname(destination), self._spool))
        self._moved.append(file)

    def _leave(self, file: InProgressFile, destination: bytes) -> None:
        """Put a failed file back to its place in its inbox, or remove what was made of it.

        It goes to failed/ after all if its inbox does not take it, or an original is not as it was.
        """
        is_left = self._stays(file) and destination.startswith(os.path.join(file.inbox, b""))
        try:
            if is_left and put_back(file, destination):
                self._arrived(file, destination)
                return
        except OSError as error:
            if not os.path.lexists(file.spool):
                self._decided[0] = file._replace(resumed=True)
                raise
            log.warning("%a cannot be left in its inbox: %s", os.fsdecode(file.origin), error.strerror)
        # Else `sorted` was moved since the decision, or the settings name another.
        self._redirect(file)

    def _stays(self, file: InProgressFile) -> bool:
        return _decision(file).outcome == FAILED and self._settings.outcomes.failed == "leave"

    def _is_in_sorted(self, file: InProgressFile) -> bool:
        return (file.destination or b"").startswith(os.path.join(self._sorted, b""))

    def _rename_or_wait(self, file: InProgressFile, destination: bytes, error: OSError) -> None:
        """Choose a plain name if the name is refused; otherwise retry the file later and go on with others.

        Raises `error` if it affects every file.
        """
        root = self._folder_of(destination)
        if self._is_for_all(error, root):
            raise error
        try:
            source = naming.plain_instead(file.source, destination, root)
        except OSError as refusal:  # the folder takes no file
            if self._is_for_all(refusal, root):
                raise
            self._wait(file, destination, error if isinstance(error, moves.FolderError) else refusal)
            return
        if source is None:
            refuse_unwritable(self._spool)
            if file.resumed:  # the first retry is immediate, to remove part of a copy soon
                self._wait(file, destination, error)
            return
        why = os.fsdecode(destination), error.strerror
        log.warning("%a: this name is refused here (%s); choosing a plain one", *why)
        self._redirect(file._replace(source=source, arrived=file.name))

    def _is_for_all(self, error: OSError, root: bytes) -> bool:
        """Return whether an error in a class's folder affects the files of all folders."""
        if isinstance(error, moves.FolderError):
            return bool(error.filename == self._sorted)
        if error.errno == errno.EROFS:
            return bool(os.statvfs(self._sorted).f_flag & os.ST_RDONLY)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return folder_id(root)[0] == folder_id(self._sorted)[0]
        return error.errno in SYSTEM_ERRNOS

    def _wait(self, file: InProgressFile, destination: bytes, error: OSError) -> None:
        self._decided.popleft()
        self._retries.add(file, self._settings.watch.rescan_seconds)
        self.refusals.add(file.id, "file", destination, str(error.strerror))

    def _folder_of(self, destination: bytes) -> bytes:
        """Return the class's folder that a destination is in."""
        return os.path.join(self._sorted, destination[len(self._sorted) + 1 :].split(b"/")[0])

    def _move(self, file: InProgressFile, destination: bytes) -> None:
        moves.make_folders(os.path.dirname(destination), self._folder_of(destination))
        pairs = file.pairs(destination)
        moving.move(pairs, file.sha256, resumed=file.resumed, targets=file.targets)

    def _redirect(self, file: InProgressFile) -> None:
        """Choose another destination, because the first has been taken since."""
        destination = self._choose(file, self._promised())
        self._ledger.redirect(file.id, destination)
        self._decided[0] = _moving_to(file, destination)

    def _commit_moved(self) -> None:
        if not self._moved:
            return
        moves.sync_folders(self._unsynced)
        self._unsynced = {}
        filed = [file for file in self._moved if self._is_in_sorted(file)]
        if filed:
            self._ledger.file([file.id for file in filed], self._now())
            self._conclude(filed)
        if left := self._moved:
            self._ledger.leave({file.id: left_identity(file) for file in left}, self._now())
            self._conclude(left)

    def _conclude(self, files: Sequence[InProgressFile]) -> None:
        for file in files if self.refusals else ():
            self.refusals.clear(file.id)
        self._filed += files
        done = {file.id for file in files}
        self._moved = [file for file in self._moved if file.id not in done]

    def _promised(self) -> set[bytes]:
        """Return the destinations of files that are not there yet.

        Files to retry count too: of two files of one content with one destination, the second would be taken
        for an interrupted copy of the first, and removed.
        """
        files = (*self._decided, *self._retries)
        return {goal for file in files for goal in _goals(file, file.destination)}

    def _place_of(self, file: InProgressFile, promised: Container[bytes]) -> bytes:
        """Choose where a file goes: into its folder, or back to its place in its inbox."""
        if not self._stays(file) or file.inbox == self._spool:
            return self._choose(file, promised)
        if file.action:
            return file.origin
        return moving.destination(file.inbox, file.source, file.name, file.companions, promised)

    def _choose(self, file: InProgressFile, promised: Container[bytes]) -> bytes:
        folder = os.path.join(self._sorted, os.fsencode(_decision(file).outcome))
        return moving.destination(folder, file.source, file.name, file.companions, promised)

    def _is_unchanged(self, file: InProgressFile) -> bool:
        """Return whether the spool has the version that was classified; if not, the file starts over."""
        try:
            unchanged = content_identity(file.spool, file.link)[2:] == file.identity[2:]
        except OSError as error:
            if file.link and os.path.lexists(file.spool):
                return True  # the original is gone, or cannot be read; the link is filed as it is
            if not isinstance(error, FileNotFoundError):
                raise
            self._missing.add(file)
            return False
        if not unchanged:
            log.warning("%a was written to after it was claimed; starting over", os.fsdecode(file.origin))
            self._retries.add(file, max(1.0, self._settings.watch.settle_seconds))
        return unchanged


def _goals(file: InProgressFile, destination: bytes | None) -> list[bytes]:
    """Return where a file and its companions are to be moved to."""
    return [] if destination is None else [goal for _, goal in file.pairs(destination)]


def _decision(file: InProgressFile) -> FileDecision:
    assert file.decision is not None
    return file.decision


def _moving_to(file: InProgressFile, destination: bytes) -> InProgressFile:
    return file._replace(decision=_decision(file)._replace(destination=destination))
