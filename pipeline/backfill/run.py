"""Do the parts of a run that are not done yet, by an executor, until none is left or nothing finishes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from pipeline.backfill import parts
from pipeline.backfill.parts import DamagedPart, Mark
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.storage.ahead import ahead
from pipeline.backfill.storage.run_path import RunPath, at_once, remove_unfinished
from pipeline.backfill.work import Done, Work
from pipeline.errors import ModelError, SettingsError, StalledError

Executor = Callable[[Work, Sequence[int]], Generator[Done | None]]
"""Does parts in any order, and yields each when it is done; None about once a second."""


@dataclass(slots=True)
class Summary:
    """What a run did: parts and photos now, parts before, and for each part that failed why."""

    parts: int = 0
    photos: int = 0
    before: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    busy_seconds: float = 0.0
    cpu_seconds: float = 0.0


def run(
    planned: RunFile,
    work: Work,
    executor: Executor,
    stalled_seconds: float,
    progress: Callable[[int, int], None] = lambda done, parts: None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Do the parts without results; return what was done. `progress` is called with parts done and all.

    Raises SettingsError for results of another run, ModelError where no machine can answer as planned, and
    StalledError once no part has finished for `stalled_seconds` of `clock`.
    """
    finished = finished_parts(work.run, planned)
    left = [number for number in range(planned.parts) if number not in finished]
    summary = Summary(before=len(finished))
    progress(len(finished), planned.parts)
    if left:
        with closing(executor(work, left)) as items:
            for done in watched(items, stalled_seconds, clock):
                _count(summary, done)
                progress(summary.before + summary.parts, planned.parts)
        finished = finished_parts(work.run, planned)
        for number in left:
            if number not in finished:
                summary.failed.setdefault(number, "the machines that did it ended")
    if not summary.failed:
        remove_unfinished(work.run / parts.RESULTS)
    return summary


def _count(summary: Summary, done: Done) -> None:
    if done.is_final:
        raise ModelError(f"{done.problem}; the same command continues the run")
    summary.busy_seconds += done.seconds
    summary.cpu_seconds += done.cpu_seconds
    if done.problem is not None:
        summary.failed[done.part] = done.problem
        return
    summary.failed.pop(done.part, None)
    summary.parts += 1
    summary.photos += done.photos


def finished_parts(run: RunPath, planned: RunFile) -> set[int]:
    """Return the parts that have results. One with a damaged file of results is not finished.

    Raises SettingsError where results are of another run, or of no part of this one; OSError.
    """
    finished = set()
    numbers = list(parts.numbers(run / parts.RESULTS))
    for number, mark in zip(numbers, ahead(partial(_mark, run), numbers, at_once(run)), strict=True):
        if mark is None:
            continue
        if mark != (planned.digest, number) or number >= planned.parts:
            path = parts.results_file(run, number)
            raise SettingsError(f"{path}: is of another run; nothing was changed. Move it away")
        finished.add(number)
    return finished


def _mark(run: RunPath, number: int) -> Mark | None:
    try:
        return parts.read_mark(run, number)[0]
    except DamagedPart:
        return None


def watched(
    items: Iterable[Done | None], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Done]:
    """Yield the parts of an iterable; None says that time has passed.

    Raises StalledError once it has yielded no part without a problem for so many seconds.
    """
    last = clock()
    for done in items:
        if done is not None:
            yield done
        if done is not None and done.problem is None:
            last = clock()
        elif clock() - last > seconds:
            raise StalledError(
                f"no part has finished for {seconds:g} s; the same command continues the run, once the "
                "machines and the source answer"
            )
