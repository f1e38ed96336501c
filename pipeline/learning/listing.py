"""List the versions of the configured model, with what is known of each from its manifest and learnt.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.errors import BundleError
from pipeline.learning.in_use import answering_first, refusal_of
from pipeline.learning.record import DamagedRecord, Record
from pipeline.learning.versions import Family, Version, chain_or_base, family, foreign, learnt, promote
from pipeline.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Listed:
    """A version; `learnt` is the content of its learnt.json, `problem` the reason why it cannot be used.

    `was_in_force` says whether it ever was. The weights are not read: see `versions.check`.
    """

    version: Version
    bundle: Bundle | None
    is_in_force: bool
    was_in_force: bool
    learnt: Mapping[str, Any]
    problem: str | None

    @property
    def is_better(self) -> bool:
        """Whether the comparison when it was learnt says that it is better than the version then in force."""
        verdict = self.learnt.get("verdict")
        return isinstance(verdict, dict) and verdict.get("better") is True

    @property
    def reason(self) -> str:
        """The reason of that verdict."""
        verdict = self.learnt.get("verdict")
        return str(verdict.get("reason", "")) if isinstance(verdict, dict) else ""


def listing(settings: Settings) -> list[Listed]:
    """Return the base, then its learnt versions in their order.

    Raises ModelError for an unreadable base, OSError.
    """
    return _listing(family(settings))


def challenger(known: Family) -> Listed | None:
    """Return the newest version if it was never in force. Raises OSError."""
    *_, newest = (each for each in _listing(known) if each.version.number == 0 or each.version.path.is_dir())
    return None if newest.was_in_force or newest.version.number == 0 else newest


def _listing(known: Family) -> list[Listed]:
    record = _record(known)
    in_force = chain_or_base(known)[0]
    refused, current = refusal_of(known, in_force), answering_first(known)[0].number
    ever = {step.version for step in record.history}
    # That in force is listed also where its folder was deleted, with that problem.
    versions = map(known.version, sorted({0, current, *known.numbers()}))
    found = [_listed(known, each, current, each.number in ever, record) for each in versions]
    return [
        replace(each, problem=each.problem or refused.problem)
        if refused and each.version == in_force
        else each
        for each in found
    ]


def promote_if_better(settings: Settings, by: str) -> Version | None:
    """Promote the challenger if its verdict says that it is better; return it, None if nothing was promoted.

    Raises PawsortError if it cannot be used, OSError.
    """
    found = challenger(family(settings))
    if found is None or found.problem or not found.is_better:
        return None
    return promote(settings, found.version.number, by, f"better: {found.reason}")


class ChallengerNotice:
    """What there is to say of a challenger that waits for a person; read again only after a change."""

    def __init__(self, known: Family) -> None:
        self._known = known
        self._paths = (known.folder, known.record_path)
        self._changed: tuple[int, ...] = ()
        self._text: str | None = None

    @property
    def notice(self) -> str | None:
        """The notice, None if no challenger is better."""
        changed = tuple(map(_changed_at, self._paths))
        if changed != self._changed:
            self._changed, self._text = changed, self._read()
        return self._text

    def _read(self) -> str | None:
        try:
            found = challenger(self._known)
        except OSError:  # the heartbeat must go on
            return None
        if found is None or found.problem or not found.is_better:
            return None
        number = found.version.number
        return f"{found.version.name} is better ({found.reason}); `pawsort promote {number}` puts it in force"


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _listed(known: Family, version: Version, current: int, was_in_force: bool, record: Record) -> Listed:
    bundle, problem = None, foreign(known, version, record.base_of(version.number))
    try:
        bundle = bundles.described(version.path, bundles.read_manifest(version.path))
        problem = problem or next(_incomplete(bundle), None)
    except BundleError as error:
        problem = str(error)
    is_in_force = version.number == current
    return Listed(version, bundle, is_in_force, was_in_force or is_in_force, learnt(version), problem)


def _incomplete(bundle: Bundle) -> Iterator[str]:
    """Yield a problem for each file that is missing or of another size than the manifest says."""
    manifest = bundle.manifest
    networks = [section.network for section in (manifest.int8, manifest.detector) if section]
    files = [(manifest.weights.file, manifest.weights.bytes), *((each.file, each.bytes) for each in networks)]
    for name, size in files:
        path = bundle.path / name
        if not path.is_file() or path.stat().st_size != size:
            yield f"{path}: is damaged or missing; learn again, or restore it"


def _record(known: Family) -> Record:
    try:
        return Record.read(known.record_path)
    except DamagedRecord:
        return Record()
