"""The safeguards of `scripts.mutations`: the file and text of each, the text without it, and its tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scripts.safeguards import (
    alerts,
    arriving,
    by_hand,
    companions,
    connections,
    databases,
    disks,
    learning,
    models,
    office,
    originals,
    pages,
    pictures,
    reports,
    requests,
    service,
    upkeep,
    uploads,
    versions,
    visitors,
    workers,
)  # fmt: skip
from scripts.safeguards.safeguard import Safeguard

__all__ = ["SAFEGUARDS", "Safeguard", "by_fault", "covers"]

SAFEGUARDS: tuple[Safeguard, ...] = (
    *alerts.SAFEGUARDS,
    *arriving.SAFEGUARDS,
    *by_hand.SAFEGUARDS,
    *companions.SAFEGUARDS,
    *pictures.SAFEGUARDS,
    *disks.SAFEGUARDS,
    *databases.SAFEGUARDS,
    *reports.SAFEGUARDS,
    *service.SAFEGUARDS,
    *office.SAFEGUARDS,
    *models.SAFEGUARDS,
    *originals.SAFEGUARDS,
    *learning.SAFEGUARDS,
    *pages.SAFEGUARDS,
    *versions.SAFEGUARDS,
    *upkeep.SAFEGUARDS,
    *uploads.SAFEGUARDS,
    *connections.SAFEGUARDS,
    *visitors.SAFEGUARDS,
    *requests.SAFEGUARDS,
    *workers.SAFEGUARDS,
)


def by_fault(
    marked: Mapping[int, Sequence[str]], safeguards: Sequence[Safeguard] = SAFEGUARDS
) -> dict[int, list[str]]:
    """Return, for each fault, the names of the safeguards against it that a marked test covers.

    `marked` has the tests of each fault, as `write_reliability.marked` names them.
    """
    found: dict[int, list[str]] = {}
    for safeguard in safeguards:
        for number in safeguard.faults:
            if covers(number, safeguard.tests, marked):
                found.setdefault(number, []).append(safeguard.name)
    return found


def covers(number: int, tests: Iterable[str], marked: Mapping[int, Sequence[str]]) -> bool:
    """Return whether one of these tests, each a file or one test of it, has the mark of a fault."""
    of_fault = marked.get(number, ())
    names = [test.removeprefix("tests/") for test in tests]
    return any(mark == name or mark.startswith(f"{name}::") for name in names for mark in of_fault)
