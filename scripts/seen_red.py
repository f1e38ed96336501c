"""What `make mutations` saw: which tests went red without which safeguard, when, and at which commit.

`scripts/seen_red.json` is written by the command alone. A record of a safeguard that was changed since is
none: its digest differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.safeguards import SAFEGUARDS, Safeguard

RECORD = Path(__file__).with_name("seen_red.json")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of taking one safeguard out: `red` are pytest's ids, `said` the last words of the first."""

    name: str
    digest: str
    red: tuple[str, ...]
    said: str
    date: str
    commit: str


def read(path: Path = RECORD) -> dict[str, Seen]:
    """Return the record by the names of safeguards; nothing where there is none."""
    if not path.exists():
        return {}
    lines = json.loads(path.read_text(encoding="utf-8"))
    return {line["name"]: Seen(**{**line, "red": tuple(line["red"])}) for line in lines}


def write(seen: Iterable[Seen], path: Path = RECORD) -> None:
    """Replace the record."""
    lines = [asdict(one) for one in sorted(seen, key=lambda one: one.name)]
    path.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def of(safeguard: Safeguard, record: Mapping[str, Seen]) -> Seen | None:
    """Return what was seen of a safeguard as it is now."""
    seen = record.get(safeguard.name)
    return seen if seen and seen.digest == safeguard.digest and seen.red else None


def by_fault(
    marked: Mapping[int, Sequence[str]],
    record: Mapping[str, Seen] | None = None,
    safeguards: Sequence[Safeguard] = SAFEGUARDS,
) -> dict[int, list[str]]:
    """Return, for each fault, the safeguards without which a test that carries its mark was seen red.

    `marked` has the tests of each fault, as `write_reliability.marked` names them.
    """
    record = read() if record is None else record
    found: dict[int, list[str]] = {}
    for safeguard in safeguards:
        seen = of(safeguard, record)
        for number in safeguard.faults if seen else ():
            if seen and covers(number, seen.red, marked):
                found.setdefault(number, []).append(safeguard.name)
    return found


def covers(number: int, red: Iterable[str], marked: Mapping[int, Sequence[str]]) -> bool:
    """Tell whether one of these tests carries the mark of a fault."""
    return any(test.removeprefix("tests/") in marked.get(number, ()) for test in red)
