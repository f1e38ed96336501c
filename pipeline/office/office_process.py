"""Have the files for an office written by a child process, and pictures for its page drawn by another.

The process that writes reports decodes no photo and formats no cell: it passes paths and JPEGs on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.child_process import Main
from pipeline.classifier.supervised_child import ChildFailed, SupervisedChild
from pipeline.errors import ModelError
from pipeline.office import packages
from pipeline.office.child import write_office_files
from pipeline.office.messages import ChoosePhotos, Chosen, OfficeSettings, WritePage, WriteTables, Written
from pipeline.reports.daily import OfficeRequest, WriteOffice
from pipeline.settings.config import Settings
from pipeline.thumbnails.draw_thumbnail import Thumbnail, ThumbnailRequest, draw_thumbnails

logger = logging.getLogger(__name__)

START_SECONDS = 120.0
PROGRESS_SECONDS = 600.0
"""How long the child may take without a sign of life, such as packing a workbook of a million rows."""

_TICK = 0.25


@contextmanager
def office(
    settings: Settings, main: Main = write_office_files, draw: Main = draw_thumbnails
) -> Iterator[WriteOffice]:
    """Give the writer of the files that `settings` add to the reports; its processes end with the context.

    `main` and `draw` are parameters for tests.
    """
    writer = _Writer(settings, main, draw)
    try:
        yield writer
    except BaseException:
        writer.kill()  # the worker stops, and waits three seconds
        raise
    writer.stop()


def office_of(settings: Settings) -> Callable[[], AbstractContextManager[WriteOffice]] | None:
    """Return `office` of these settings; None if they add no file to the reports, or none can be written."""
    report = settings.report
    adds_tables = report.format != "standard" and not packages.missing(report, "format")
    adds_page = report.html and not packages.missing(report, "html")
    return partial(office, settings) if adds_tables or adds_page else None


class _Writer:
    def __init__(self, settings: Settings, main: Main, draw: Main) -> None:
        self._report = settings.report
        self._child = SupervisedChild(
            main,
            OfficeSettings.of(settings),
            name="the process that writes reports",
            start_seconds=START_SECONDS,
            progress_seconds=PROGRESS_SECONDS,
            start_attempts=2,
        )
        self._drawing = SupervisedChild(
            draw,
            settings.limits,
            name="the process that draws pictures for reports",
            start_seconds=START_SECONDS,
            progress_seconds=settings.limits.decode_seconds,
            start_attempts=1,
        )

    def __call__(self, request: OfficeRequest, check: Callable[[], None]) -> tuple[Path, ...]:
        """Write the files of a day, month or year. Raises OSError, and what `check` raises."""
        try:
            paths: tuple[Path, ...] = ()
            if self._report.format != "standard":
                paths += self._ask(WriteTables(request.name, request.is_latest), check).paths
            if self._report.html and request.is_day:
                paths += self._page(request, check)
            return paths
        except (ChildFailed, ModelError) as error:
            # The CSV files are there, and the next try would probably end in the same way.
            logger.error("reports of %s: files for an office are missing: %s", request.name, error)
            return ()

    def stop(self) -> None:
        """End both processes, which have nothing to do."""
        self._child.stop()
        self._drawing.stop()

    def kill(self) -> None:
        """End both processes at once."""
        self._child.kill()
        self._drawing.kill()

    def _page(self, request: OfficeRequest, check: Callable[[], None]) -> tuple[Path, ...]:
        chosen = self._exchange(self._child, ChoosePhotos(request.name), check)
        if not isinstance(chosen, Chosen):
            return self._written(chosen).paths
        jpegs = self._draw(chosen.requests, check)
        return self._ask(WritePage(request.name, request.now, request.is_latest, jpegs), check).paths

    def _draw(self, requests: Sequence[ThumbnailRequest], check: Callable[[], None]) -> dict[int, bytes]:
        """Return a JPEG for each photo that can be drawn; one that ends the child only lacks its picture."""
        found = {}
        for request in requests:
            try:
                thumbnail = self._exchange(self._drawing, request, check)
            except ChildFailed as failure:
                logger.warning("reports: no picture of file %d: %s", request.id, failure)
                continue
            except ModelError as error:
                logger.warning("reports: no pictures: %s", error)
                break
            if isinstance(thumbnail, Thumbnail) and thumbnail.jpeg:
                found[request.id] = thumbnail.jpeg
        return found

    def _ask(self, request: WriteTables | WritePage, check: Callable[[], None]) -> Written:
        return self._written(self._exchange(self._child, request, check))

    @staticmethod
    def _written(answer: Any) -> Written:
        assert isinstance(answer, Written)
        if answer.failed:
            raise OSError(answer.failed)
        if answer.problem:
            logger.error("reports: files for an office are missing: %s", answer.problem)
        return answer

    @staticmethod
    def _exchange(child: SupervisedChild, request: object, check: Callable[[], None]) -> Any:
        """Send a request and return its answer. Raises ChildFailed, ModelError, and what `check` raises."""
        while child.ready(_TICK) is None:
            check()
        child.send(request)
        while (answer := child.receive(_TICK)) is None:
            check()
        return answer
