"""Messages between a process that writes reports and the child that makes files for an office of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.settings.config import Settings
from pipeline.settings.sections import Permissions, ReportSettings
from pipeline.thumbnails.content import photo_folders
from pipeline.thumbnails.draw_thumbnail import ThumbnailRequest


@dataclass(frozen=True, slots=True)
class OfficeSettings:
    """What the child needs of the settings: the folder of the reports, and the folders that have photos."""

    reports: Path
    report: ReportSettings
    photo_folders: tuple[Path, ...]
    permissions: Permissions

    @classmethod
    def of(cls, settings: Settings) -> OfficeSettings:
        """Return those of all settings."""
        return cls(settings.reports, settings.report, photo_folders(settings), settings.permissions)


@dataclass(frozen=True, slots=True)
class WriteTables:
    """To the child: write the files for Excel of a day, month or year; see `daily.OfficeRequest`."""

    name: str
    is_latest: bool


@dataclass(frozen=True, slots=True)
class ChoosePhotos:
    """To the child: say which photos the page of a day needs, drawn small."""

    day: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """From the child: the photos to draw; ids are those of the rows."""

    requests: tuple[ThumbnailRequest, ...]


@dataclass(frozen=True, slots=True)
class WritePage:
    """To the child: write the page of a day; `jpegs` are by the id of a row, `now` is the report's time."""

    day: str
    now: datetime
    is_latest: bool
    jpegs: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """From the child: the written files.

    `failed` is a reason to try again later, such as a full disk; `problem` another reason why a file is
    missing.
    """

    paths: tuple[Path, ...] = ()
    failed: str | None = None
    problem: str | None = None
