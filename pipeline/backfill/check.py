"""Check that a run has each photo exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple

from pipeline.backfill import parts, run_file
from pipeline.backfill.parts import DamagedPart
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.storage.ahead import ahead
from pipeline.backfill.storage.run_path import RunPath, at_once


class Problem(NamedTuple):
    """What is wrong with a part; `part` is None if it is wrong with all lists."""

    part: int | None
    problem: str


def check(run: RunPath) -> Iterator[Problem]:
    """Yield what is missing, doubled or foreign in a run: nothing if each photo has exactly one result.

    Raises SettingsError without a readable plan, and OSError.
    """
    planned = run_file.read(run)
    yield from _of_lists(run, planned)
    there = set(parts.numbers(run / parts.RESULTS))
    expected = 0
    together = at_once(run, planned.photos // planned.parts)
    read = ahead(partial(_part, run, planned, there), range(planned.parts), together)
    for number, (first, photos, problem) in enumerate(read):
        if photos and first != expected:
            yield Problem(number, f"its list begins with the id {first}, expected {expected}")
        expected = first + photos if photos else expected
        if problem:
            yield Problem(number, problem)
    for number in sorted(there):
        if number >= planned.parts:
            yield Problem(number, "has results, but is no part of this run")


def _of_lists(run: RunPath, planned: RunFile) -> Iterator[Problem]:
    try:
        if run_file.digest(run, planned.parts) != planned.digest:
            yield Problem(None, "the lists are not those that were planned: their digest is another one")
    except FileNotFoundError:
        yield Problem(None, "lists are missing")


def _part(
    run: RunPath, planned: RunFile, there: AbstractSet[int], number: int
) -> tuple[int, int, str | None]:
    """Return the first id and the photos of a list, 0 if it is damaged, and the problem of the part."""
    try:
        part = parts.read_list(run, number)
    except DamagedPart as error:
        return 0, 0, str(error)
    problem = _of_results(run, planned, part) if number in there else "has no results"
    return part.first, len(part.photos), problem


def _of_results(run: RunPath, planned: RunFile, part: parts.Part) -> str | None:
    try:
        mark, _ = parts.read_mark(run, part.number)
        results = parts.read_places(run, part.number)
    except DamagedPart as error:
        return str(error)
    if mark != (planned.digest, part.number):
        return f"its results are of another run or part: {mark.digest[:12]}, part {mark.part}"
    listed = [(part.first + n, photo.path) for n, photo in enumerate(part.photos)]
    if results == listed:
        return None
    counts = Counter(results)
    missing, doubled = len(set(listed) - counts.keys()), sum(count - 1 for count in counts.values())
    foreign = len(counts.keys() - set(listed))
    return f"its results have {missing} photos too few, {doubled} doubled, {foreign} that are not in its list"
