"""Sections of the settings: their keys, defaults and limits; `config.Settings` has one field for each."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.settings.ranges import (
    AbsoluteFolder,
    BasePath,
    FilingAction,
    Folder,
    HostAddress,
    HostName,
    Hours,
    InboxShare,
    NotificationUrl,
    PatternText,
    ProxyAddress,
    TimeOfDay,
    TimeZone,
    Token,
    WebUrl,
    WorkerName,
    folder_in_sorted,
    is_loopback_host,
)

Permissions = Literal["private", "group", "umask"]


ReportFormat = Literal["standard", "excel", "excel_csv"]

Separator = Literal["comma", "semicolon", "tab"]

EngineKind = Literal["auto", "tensorflow", "openvino", "int8"]
"""As `models.inference.engines.Kind`; that module takes time to import."""


Event = Literal[
    "paused", "folder_gone", "disk_low", "refused", "child_restarts", "failures", "drift", "report_failed",
    "backup_failed", "back", "worker_silent", "report",
]  # fmt: skip
"""What an alert may be about; `docs/operating.md` has a line for each."""


def no_boolean(value: object) -> object:
    """Return `value`. Raises ValueError for a boolean: no setting is one, and it would count as 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("expected no true, false, yes, no, on or off")
    return value


HIDDEN = ("base", "inbox_actions", "inbox_shares")
"""Fields of the settings that no file and no variable may set."""


class Section(BaseModel):
    """A section of the settings: frozen, without unknown keys, and without booleans for numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _booleans = field_validator("*", mode="before")(no_boolean)


class InboxSettings(Section):
    """A watched folder; `action` is None if it is that of all inboxes, `share` if all of it is taken."""

    path: Folder
    action: FilingAction | None = None
    share: InboxShare | None = None


class FilingSettings(Section):
    """How files are taken from the inboxes that do not say it themselves.

    `companions`: files that belong to a photo, such as sidecars, are moved with it. `xmp`: the label is
    written into the photo's sidecar.
    """

    action: FilingAction = "move"
    companions: bool = True
    xmp: bool = False

    _booleans = field_validator("action", mode="before")(no_boolean)

    @model_validator(mode="after")
    def _sidecars_travel(self) -> Self:
        if self.xmp and not self.companions:
            raise ValueError("xmp writes sidecars, which travel as companions: expected companions: true too")
        return self


class OutcomeSettings(Section):
    """What becomes of photos that have no class, or had it before.

    `neither` is the folder of those that a person called so. With `failed: leave` a file that fails goes back
    to, or stays at, its place in its inbox. `duplicates` has an older name, the setting at the top.
    """

    neither: Annotated[str, AfterValidator(folder_in_sorted)] = "uncertain"
    failed: Literal["move", "leave"] = "move"
    duplicates: Literal["file", "hold"] = "file"


class DecisionSettings(Section):
    """When a file is filed, and when it goes to uncertain/ for review."""

    target_precision: float = Field(0.995, ge=0.5, le=1.0)
    min_confidence: float | None = Field(None, ge=0.0, le=1.0)
    calibration: Literal["model", "own"] = "model"


class BatchSettings(Section):
    """Number of files that are classified together, and how long the first waits for others."""

    size: int = Field(64, ge=1, le=1024)
    wait_seconds: float = Field(0.2, ge=0.0, le=60.0)


class WatchSettings(Section):
    """How new files are noticed, when they count as complete, and whether `sorted` is followed."""

    mode: Literal["auto", "native", "polling"] = "auto"
    settle_seconds: float = Field(2.0, ge=0.0, le=3600.0)
    rescan_seconds: float = Field(60.0, ge=0.001, le=86400.0)
    ignore: tuple[PatternText, ...] = ()
    sorted: bool = True

    _booleans = field_validator("mode", "settle_seconds", "rescan_seconds", mode="before")(no_boolean)


class LimitSettings(Section):
    """Limits for reading and decoding a file; only the first frame of an animation is decoded."""

    file_mb: float = Field(200.0, ge=1e-6, le=1e6)
    megapixels: float = Field(200.0, ge=1e-6, le=1e6)
    frames: int = Field(100_000, ge=1, le=1_000_000_000)
    decode_seconds: float = Field(30.0, ge=0.001, le=86400.0)
    attempts: int = Field(2, ge=1, le=1000)

    @property
    def file_bytes(self) -> int:
        """Largest file that is read, in bytes."""
        return int(self.file_mb * 1_000_000)

    @property
    def pixels(self) -> int:
        """Largest width x height that is decoded."""
        return int(self.megapixels * 1_000_000)


class ReportSettings(Section):
    """When the nightly reports are written, the time zone of their days, and the files beside the CSV files.

    `format` adds files for Excel; `separator` is of its CSV files; `html` adds a page for each day.
    """

    at: TimeOfDay = "00:10"
    timezone: TimeZone = "UTC"
    format: ReportFormat = "standard"
    separator: Separator = "semicolon"
    html: bool = False

    _booleans = field_validator("at", "timezone", "format", "separator", mode="before")(no_boolean)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days begin and end."""
        return ZoneInfo(self.timezone)


class WebSettings(Section):
    """Address of the web pages; any other than loopback needs a token.

    `address` is the URL by which other machines with the same database reach these pages; `shared` has, by
    worker, folders of other machines, and where they are mounted on this one.
    """

    host: HostAddress = "127.0.0.1"
    port: int = Field(8420, ge=1, le=65535)
    token: Token | None = None
    hosts: tuple[HostName, ...] = ()
    base_path: BasePath = ""
    proxies: tuple[ProxyAddress, ...] = ("127.0.0.1", "::1")
    address: WebUrl | None = None
    shared: dict[WorkerName, dict[AbsoluteFolder, Folder]] = {}

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> Self:
        if self.token is None and not is_loopback_host(self.host):
            raise ValueError(f"host {self.host} can be reached by other machines: expected a token too")
        return self


class LearnSettings(Section):
    """When a model is learnt from what people said, in the time zone of the reports, and who promotes it."""

    at: TimeOfDay | None = None
    min_new: int = Field(50, ge=1, le=1_000_000)
    promote: Literal["ask", "auto"] = "ask"


class BackupSettings(Section):
    """When a backup is made, in the time zone of the reports, where, and how many of these are kept."""

    at: TimeOfDay | None = None
    keep: int = Field(7, ge=1, le=10_000)
    folder: Folder = Path("backups")


class KeepSettings(Section):
    """After how many days Pawsort deletes what nothing depends on; None for never.

    `reports_days`: the reports of a day; `rows_days`: rows of photos that are gone; `failed_days`: files in
    failed/, the only photos that are ever deleted.
    """

    reports_days: int | None = Field(None, ge=1, le=100_000)
    rows_days: int | None = Field(None, ge=1, le=100_000)
    failed_days: int | None = Field(None, ge=1, le=100_000)


class NotifySettings(Section):
    """Who is notified of which events, and when not, in the time zone of the reports.

    `urls` and `heartbeat_url` have secrets. `heartbeat_url` is fetched while the worker is well.
    """

    urls: tuple[NotificationUrl, ...] = ()
    on: tuple[Event, ...] = tuple(event for event in get_args(Event) if event != "report")
    quiet: Hours | None = None
    heartbeat_url: WebUrl | None = None

    @property
    def quiet_hours(self) -> tuple[time, time] | None:
        """Begin and end of the hours without messages."""
        if self.quiet is None:
            return None
        begin, _, end = self.quiet.partition("-")
        return time.fromisoformat(begin), time.fromisoformat(end)


class LogSettings(Section):
    """Format and level of the log on stderr."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def known_settings(model: type[BaseModel]) -> list[str]:
    """Return the names of the settings of a section."""
    return [name for name in model.model_fields if name not in HIDDEN]
