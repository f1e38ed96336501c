"""Checks and repairs before the worker starts: folders, mounts, interrupted moves, and the model in force."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from db.queries.listing import NOTED, counts
from db.queries.overview import newest_paths
from models.bundle.bundle import Bundle
from pipeline.by_hand.folder_labels import FolderLabels
from pipeline.classifier.configured_model import (
    load_version,
    outcome_folders,
    refuse_class_for_neither,
    worker_classifier,
)
from pipeline.classifier.model_switch import LoadedModel, ModelSwitch
from pipeline.corrections.correct_undo_retry import recover_moves
from pipeline.decision import FAILED
from pipeline.errors import LockError, PawsortError, SettingsError
from pipeline.files import moves
from pipeline.files.permissions import limited, make_folder
from pipeline.learning.in_use import note
from pipeline.learning.versions import Version, family
from pipeline.originals.checks import refuse_unlinkable
from pipeline.settings.config import Settings
from pipeline.spot_checks.figures import measure_own_threshold
from pipeline.worker import heartbeat

log = logging.getLogger(__name__)


def prepare_folders(settings: Settings) -> None:
    """Make the folders of Pawsort, and inboxes that no worker has seen before.

    An inbox that was seen before and is missing may be a disk that is not mounted; the worker waits for it.
    Raises SettingsError, also if an inbox cannot be hard-linked.
    """
    beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
    seen = {inbox.path for inbox in beat.inboxes} if beat else set()
    inboxes = [inbox for inbox in settings.inboxes if str(inbox) not in seen]
    try:
        for folder in (settings.sorted, *inboxes, settings.state.parent, settings.reports.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with limited(settings.permissions):
            for folder in (settings.state, settings.reports):
                make_folder(folder)
            settings.spool.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot make this folder: {error.strerror}") from error
    refuse_unlinkable(settings)


def refuse_bare_mount(settings: Settings, bundle: Bundle, engine: Engine) -> None:
    """Raise PawsortError if files were filed and none of their folders exists.

    Then the disk under `sorted` is not mounted, and files filed now would be hidden once it is.
    """
    if any((settings.sorted / name).is_dir() for name in outcome_folders(bundle)):
        return
    filed = sum(n for outcome, n in counts(engine).items() if outcome not in ("waiting", "undone", NOTED))
    if filed:
        raise PawsortError(
            f"{settings.sorted}: {filed} files were filed and none of their folders is there; mount the "
            f"disk, or, if you took them away on purpose, make the folder {settings.sorted / FAILED}"
        )


def probe_folders(settings: Settings, bundle: Bundle) -> None:
    """Test whether files can be moved into each folder under `sorted`.

    A folder that refuses them is logged: its files wait. Raises PawsortError if all folders refuse, or if one
    would let files be overwritten.
    """
    refuse_class_for_neither(settings, bundle)
    refused: dict[Path, OSError] = {}
    crosses = []
    folders = [settings.sorted / name for name in outcome_folders(bundle)]
    for folder in folders:
        try:
            probe = moves.probe_folder(os.fsencode(folder), os.fsencode(settings.spool))
        except OSError as error:
            refused[folder] = error
        else:
            crosses += [folder] if probe.crosses else []
    for folder, refusal in refused.items():
        message = f"{folder}: files cannot be moved there: {refusal.strerror}"
        if len(refused) == len(folders) or refusal.errno == errno.ENOTSUP:
            raise PawsortError(message) from refusal
        log.error("%s; its files wait until they can, the others are filed", message)
    if crosses:
        log.warning("%s is on another file system than state: files are copied, which is slower", crosses[0])


def finish_moves(engine: Engine, settings: Settings) -> None:
    """Finish corrections and undos that were interrupted, unless another process is doing one."""
    try:
        for change in recover_moves(engine, settings):
            log.warning("a correction or undo was cut off; brought to its end: %s", change)
    except LockError as error:
        log.info("%s; its files are left alone until it ends", error)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Models for the worker's ModelSwitch, and what it has to do for them; see there."""

    settings: Settings
    engine: Engine

    def load(self, version: Version) -> LoadedModel:
        """Load a version, with a classifier that is not started yet. Raises ModelError."""
        bundle = load_version(self.settings, version)
        return LoadedModel(version, bundle, worker_classifier(self.settings, bundle))

    def prepare(self, bundle: Bundle, before: Bundle) -> None:
        """Make the folders of a bundle that `before` does not have.

        Raises PawsortError if one of them refuses files, or if the disk of all may not be mounted.
        """
        settings, old = self.settings, outcome_folders(before)
        refuse_bare_mount(settings, before, self.engine)
        for folder in (settings.sorted / name for name in outcome_folders(bundle) if name not in old):
            try:
                moves.probe_folder(os.fsencode(folder), os.fsencode(settings.spool))
            except OSError as error:
                raise PawsortError(f"{folder}: files cannot be moved there: {error.strerror}") from error

    def samples(self, count: int) -> list[bytes]:
        """Return the paths of the photos that were filed last; they may be gone."""
        return newest_paths(self.engine, count)


class ModelChange:
    """Let all that depends on the bundle at work follow the switch; `followers` are called with the bundle.

    Called in each step, it returns the bundle once all of them have followed. If one raises, the step ends
    there, and all are called again in the next.
    """

    def __init__(self, switch: ModelSwitch, followers: Sequence[Callable[[Bundle], None]]) -> None:
        self._switch = switch
        self._followers = followers
        self._pending: Bundle | None = None
        self._noted: tuple[int, str | None] | None = None

    def __call__(self) -> Bundle | None:
        """Go on with a change of the model; return the bundle at work if that has changed."""
        self._pending = self._switch.advance() or self._pending
        if self._pending:
            for follow in self._followers:
                follow(self._pending)
        changed, self._pending = self._pending, None
        self._note()
        return changed

    def _note(self) -> None:
        """Note for commands and pages which version answers, once it does or another was refused."""
        now = self._switch.active.version.number, self._switch.problem
        if now != self._noted and (self._switch.problem or self._switch.labels):
            self._noted = now
            note(self._switch.family, *now)


def model_change(
    settings: Settings, engine: Engine, switch: ModelSwitch, labels: FolderLabels | None
) -> ModelChange:
    """Return the change of the worker's model; its own threshold and what folders say change with it."""

    def measure(bundle: Bundle) -> None:
        measure_own_threshold(engine, settings, bundle, datetime.now(UTC))

    def label(bundle: Bundle) -> None:
        if labels:
            labels.add(bundle.folders)

    return ModelChange(switch, (measure, label))


def model_switch(settings: Settings, engine: Engine, version: Version, bundle: Bundle) -> ModelSwitch:
    """Return the worker's classifier, which begins with a version as `load_in_force` has loaded it."""
    known = family(settings, None if version.number else bundle)
    first = LoadedModel(version, bundle, worker_classifier(settings, bundle))
    return ModelSwitch(known, first, ModelSource(settings, engine))
