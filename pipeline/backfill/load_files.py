"""File the photos of a run by the answers that it has, through the worker's own steps.

A part is claimed in one transaction, as from an inbox; from then on, every kill is one that the worker's
recovery knows, and that the same command continues with the answers of the run. The part counts as loaded
once each of its photos is taken or gone.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from db.connection.engine import open_database
from db.ledger import backfill
from db.ledger.backfill import BEGUN, FILED
from db.ledger.ledger import ClaimedFile, Entry, Ledger, SettledFile
from db.schema.file_names import escape
from pipeline.backfill.load import Loaded, Loading
from pipeline.backfill.recorded_answers import RecordedAnswers
from pipeline.backfill.s3_source import fetched_into
from pipeline.backfill.source import Listed, is_away
from pipeline.backfill.work import AWAY_ERRNOS
from pipeline.classifier.answering_model import DecidingModel
from pipeline.classifier.configured_model import load_bundle
from pipeline.decision import Policy
from pipeline.errors import PawsortError, SettingsError, translated
from pipeline.files.known_folder import KnownFolder
from pipeline.files.permissions import limited, own_mode
from pipeline.originals.checks import refuse_unlinkable
from pipeline.settings.config import Settings
from pipeline.settings.overlapping_folders import check
from pipeline.worker.identity import this_worker
from pipeline.worker.locks import worker_lock
from pipeline.worker.recovery import Recovery
from pipeline.worker.startup import refuse_bare_mount
from pipeline.worker.steps.claim import ClaimStep
from pipeline.worker.steps.classify import ClassifyStep
from pipeline.worker.steps.held_file import InProgressFile, MissingFiles, RetryQueue
from pipeline.worker.steps.intake import Intake
from pipeline.worker.steps.place import PlaceStep

FETCHED = "backfill"
"""The folder in `state` with one for each run, into which photos of S3 are fetched and then moved from."""


def file_all(
    loading: Loading,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, parts: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Loaded:
    """File the photos of a run as if its source were an inbox, by the answers that the run has.

    Parts that were loaded before are passed over. A photo that was refused is tried again, and the rows of a
    run that was noted end. `progress` is called with parts done and all. Raises LockError while a worker
    runs, SettingsError if the source cannot be an inbox, PawsortError, DatabaseError, OSError.
    """
    as_inbox = settings_of(loading, settings)
    if not loading.is_s3:
        folders = ((name, getattr(settings, name)) for name in ("sorted", "state", "reports"))
        check([("the source", as_inbox.inboxes[0]), *folders])
    with ExitStack() as stack:
        stack.enter_context(translated())
        stack.enter_context(limited(settings.permissions))
        stack.enter_context(worker_lock(as_inbox))
        refuse_unlinkable(as_inbox)
        engine = open_database(settings.database_url, "write", file_mode=own_mode(0o644))
        stack.callback(engine.dispose)
        own = stack.enter_context(this_worker(engine, settings))
        refuse_bare_mount(settings, load_bundle(settings), own)
        filer = Filer(loading, as_inbox, own, engine, now)
        if not loading.is_s3:
            return filer.file_all(progress)
        with fetched_into(as_inbox.inboxes[0], loading.source) as filer.fetch:
            return filer.file_all(progress)


def settings_of(loading: Loading, settings: Settings) -> Settings:
    """Return settings whose only inbox has the photos of a run: its source, or what is fetched from S3.

    Raises SettingsError for objects of S3 that are to be linked.
    """
    if not loading.is_s3:
        source = Path(os.fsdecode(loading.root))
        return settings.model_copy(update={"inboxes": (source,), "inbox_actions": ()})
    if settings.filing.action in ("hardlink", "symlink"):
        raise SettingsError(
            f"filing.action: {settings.filing.action} needs files on this machine; S3 has copies alone: "
            "choose copy or move"
        )
    # The object stays, and what was fetched is moved.
    fetched = (settings.state / FETCHED / loading.digest[:16]).absolute()
    return settings.model_copy(update={"inboxes": (fetched,), "inbox_actions": ("move",)})


class Filer:
    """Take the photos of a run through the worker's steps; the caller holds the worker's locks.

    `settings` have the folder of the photos as their only inbox; `own` is the worker's engine, `everyone`
    sees the rows of all.
    """

    def __init__(
        self, loading: Loading, settings: Settings, own: Engine, everyone: Engine, now: Callable[[], datetime]
    ) -> None:
        self._loading, self._settings, self._now = loading, settings, now
        self._own, self._everyone = own, everyone
        self._inbox = settings.inboxes[0]
        self._spool = os.fsencode(settings.spool)
        self._ledger = Ledger(own, self._spool, everyone)
        self._answers = RecordedAnswers(settings.limits)
        self._intake = _Refusals(self._ledger, settings)
        self._done = Loaded()
        self.fetch: Callable[[Listed], None] = lambda photo: None
        self._make_steps()

    def _make_steps(self) -> None:
        settings, ledger, now = self._settings, self._ledger, self._now
        planned = self._loading.planned
        policy = Policy(planned.folders, planned.threshold)
        name, sha256, key = planned.model, planned.model_sha256, planned.answer_key
        model = DecidingModel(name, sha256, policy, settings.outcomes.neither, lambda _: key)
        root, missing = KnownFolder(os.fsencode(settings.sorted)), MissingFiles()
        self._retries = RetryQueue(time.monotonic)
        self._claim = ClaimStep(self._intake, ledger, settings, self._retries, now)
        self._classify = ClassifyStep(
            ledger, self._answers, settings, model, self._retries, missing, now, root, self._answers.hashed
        )
        self._place = PlaceStep(ledger, settings, self._retries, missing, now, root)
        steps = self._claim, self._classify, self._place
        self._recovery = Recovery(ledger, settings, *steps, self._retries, missing)

    def file_all(self, progress: Callable[[int, int], None]) -> Loaded:
        """File each part of which photos may not be taken yet, as a kill or a refusal has left them.

        Raises as above.
        """
        before, begun = (self._loading.loaded(self._everyone, suffix) for suffix in (FILED, BEGUN))
        done = self._done
        done.before = len(before)
        # Of other inboxes too: no photo may be given the place that one of these has been promised.
        self._resume(entry for entry in self._ledger.unfinished() if entry.state == "decided")
        for number in range(self._loading.planned.parts):
            if number not in before:
                self._file_part(number, again=number in begun)
                progress(done.before + done.parts, self._loading.planned.parts)
        done.left, done.refused = len(self._retries), self._intake.refused
        return done

    def _file_part(self, number: int, *, again: bool) -> None:
        """File what is left of a part, which is begun `again`; it is loaded once no photo is refused."""
        answered = self._loading.answered(number)
        self._answers.expect(answered)
        photos = [photo for photo, _ in answered]
        sources = [photo.path for photo in photos]
        if self._claim_part(number, photos, sources, again):
            self._done.parts += 1
            self._drain()
            if self._intake.refused.keys().isdisjoint(map(escape, sources)):
                backfill.finish_part(self._own, self._loading.mark(number, BEGUN))

    def _claim_part(
        self, number: int, photos: Sequence[Listed], sources: Sequence[bytes], again: bool
    ) -> bool:
        """Claim what is there and not taken yet; return whether this load has the part."""
        begun, taken = self._loading.mark(number, BEGUN), set[bytes]()
        if again:
            taken = backfill.taken(self._everyone, begun, str(self._inbox), sources)
            self._resume(entry for entry in self._ledger.unfinished() if self._is_of(entry, taken))
        settled = list(self._settled(photo for photo in photos if photo.path not in taken))
        self._refuse_absent(number, len(photos), len(settled) + len(taken))
        noted = self._loading.mark(number), os.fsdecode(self._loading.root), sources
        backfill.unnote(self._everyone, *noted, self._now())
        claimed = backfill.claim_part(self._own, self._spool, begun, settled, self._now(), again=again)
        if claimed is None:
            return False
        for row, file in zip(claimed, settled, strict=True):
            self._claim.enqueue(_in_progress(row, file, self._spool))
        self._done.photos += len(claimed)
        return True

    def _is_of(self, entry: Entry, sources: set[bytes]) -> bool:
        return entry.inbox == str(self._inbox) and entry.source in sources

    def _resume(self, unfinished: Iterable[Entry]) -> None:
        """Go on with files that a kill has left between their claim and their folder."""
        for entry in unfinished:
            try:
                self._recovery.enqueue(entry, self._now())
            except OSError as error:  # it concerns this file only
                self._intake.refused[escape(entry.source)] = str(error.strerror)
        self._drain()

    def _settled(self, photos: Iterable[Listed]) -> Iterator[SettledFile]:
        """Yield the photos that are there; those that are gone, or no files any more, are counted."""
        action = self._settings.action_of(self._inbox)
        taken = None if action == "move" else action
        keyword = "" if self._settings.filing.xmp else None
        for photo in photos:
            try:
                self.fetch(photo)
                status = os.lstat(os.path.join(os.fsencode(self._inbox), photo.path))
            except (FileNotFoundError, NotADirectoryError):
                self._done.gone += 1
                continue
            except OSError as error:
                if error.errno is None or error.errno in AWAY_ERRNOS:
                    raise
                self._intake.refused[escape(photo.path)] = str(error.strerror)
                continue
            if not stat.S_ISREG(status.st_mode):
                self._done.gone += 1
                continue
            version = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
            file = SettledFile(str(self._inbox), photo.path, *version, self._now())
            yield replace(file, action=taken, companions=photo.companions, keyword=keyword)

    def _refuse_absent(self, number: int, listed: int, there: int) -> None:
        is_empty = not there and not self._loading.is_s3 and not os.listdir(self._inbox)
        if is_empty or is_away(listed - there, listed):
            raise PawsortError(
                f"{self._inbox}: none of the {listed} photos of part {number} is there; is a disk not "
                "mounted? Nothing of this part was loaded"
            )

    def _drain(self) -> None:
        """Take all files through all steps, except those that are left for the worker."""
        while self._claim.held or self._classify.held or self._place.held:
            for file in self._claim.bring_in():
                self._classify.enqueue(file)
            self._place.enqueue_classified(self._classify.submit())
            self._place.enqueue_classified(self._classify.collect(0.0))
            for file in self._place.commit_decisions():
                self._classify.release_duplicates(file.sha256)
            self._place.move_files()
            self._count(self._place.take_filed())

    def _count(self, filed: Iterable[InProgressFile]) -> None:
        for file in (file for file in filed if file.inbox == os.fsencode(self._inbox)):
            self._done.outcomes[str(file.outcome)] += 1
            self._done.duplicates += bool(file.decision and file.decision.duplicate_of)


def _in_progress(row: ClaimedFile, file: SettledFile, spool: bytes) -> InProgressFile:
    inbox = os.fsencode(file.inbox)
    link = (inbox, file.source) if file.action == "symlink" else None
    taken = InProgressFile(
        row.id, inbox, file.source, os.path.join(spool, os.fsencode(row.spool_name)), file.identity
    )
    return taken._replace(action=file.action, link=link, companions=file.companions, seen_at=file.seen_at)


class _Refusals(Intake):
    """Remember which files could not be taken, by their paths below the source, and why."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        super().__init__([], ledger, settings, time.monotonic)
        self.refused: dict[str, str] = {}

    def refuse(self, file: InProgressFile, error: OSError) -> None:
        """Remember a file that stays where it is."""
        self.refused[escape(file.source)] = str(error.strerror)
