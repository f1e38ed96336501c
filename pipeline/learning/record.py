"""The record of the version in force: `in_force.json`, with all that were in force before."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from models import regular_files
from pipeline.errors import ModelError

Kind = Literal["promote", "rollback"]
LARGEST = 10_000_000  # bytes
HIGHEST = 999_999_999
"""Number of a version; commands take up to nine digits."""


class DamagedRecord(ModelError):  # noqa: N818 - says what has happened
    """`in_force.json` is no record of the version in force."""


class NoLongerInForce(ModelError):  # noqa: N818 - says what has happened
    """Another version came into force since a person decided on this one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `version` came into force at a time (ISO 8601, UTC), by a person or a schedule, and why.

    `base_sha256` is that of the weights of the base at that time.
    """

    version: int
    at: str
    by: str
    why: str
    kind: Kind = "promote"
    base_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """The number of the version in force, 0 for the base, and the steps that led to it, the oldest first."""

    version: int = 0
    history: tuple[Step, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Record:
        """Return the record in a file, that of the base if there is no file.

        Raises DamagedRecord for any other content than a record, and OSError.
        """
        try:
            content = json.loads(regular_files.read(path, LARGEST))
            record = cls(_number(content["version"]), tuple(map(_step, content.get("history", ()))))
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            remedy = "`pawsort promote VERSION` writes it anew"
            raise DamagedRecord(
                f"{path}: cannot be read as the record of the model in force; {remedy}"
            ) from error
        return record

    @classmethod
    def numbers_in(cls, path: Path) -> set[int]:
        """Return the numbers of all versions in a record, none if that is damaged. Raises OSError."""
        try:
            record = cls.read(path)
        except DamagedRecord:
            return set()
        return {record.version, *(step.version for step in record.history)}

    def stack(self) -> list[int]:
        """Return the versions that rollbacks lead through, the one in force last; the base comes first."""
        found = [0]
        for step in self.history:
            if step.kind == "rollback":
                while len(found) > 1 and found[-1] != step.version:
                    found.pop()
            if found[-1] != step.version:
                found.append(step.version)
        return found if found[-1] == self.version else [*found, self.version]

    def base_of(self, number: int) -> str | None:
        """Return the SHA-256 of the base with which a version came into force last, None if unknown."""
        return next((step.base_sha256 for step in reversed(self.history) if step.version == number), None)

    def expect(self, seen: int | None) -> None:
        """Raise NoLongerInForce if `seen` is not in force any more; None is any version."""
        if seen is None or seen == self.version:
            return
        last = self.history[-1] if self.history else None
        by = f" by {last.by} at {last.at[:16].replace('T', ' ')} UTC" if last else ""
        now = f"version {self.version}" if self.version else "the model as it came"
        raise NoLongerInForce(f"{now} was put in force{by}, since you looked; nothing was changed")

    def promoted(self, number: int, at: datetime, by: str, why: str, base_sha256: str) -> Record:
        """Return the record after a promotion."""
        return self._after(Step(number, at.isoformat(), by, why, "promote", base_sha256))

    def rolled_back(self, number: int, at: datetime, by: str, why: str, base_sha256: str) -> Record:
        """Return the record after a rollback to a version of `stack`."""
        return self._after(Step(number, at.isoformat(), by, why, "rollback", base_sha256))

    def as_json(self) -> bytes:
        """Return the content of the file."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    def _after(self, step: Step) -> Record:
        return replace(self, version=step.version, history=(*self.history, step))


def signature(path: Path) -> tuple[int, ...] | None:
    """Return what changes with the content of a record; None if that cannot be known now."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _step(content: Any) -> Step:
    at, by, why = (str(content[name]) for name in ("at", "by", "why"))
    kind: Kind = "rollback" if content.get("kind") == "rollback" else "promote"
    base = content.get("base_sha256")
    return Step(_number(content["version"]), at, by, why, kind, None if base is None else str(base))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= HIGHEST:
        raise ValueError(f"expected the number of a version, received {value!r}")
    return value
