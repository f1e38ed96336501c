"""Settings: typed, frozen, read once from `config.yaml` and the environment.

An error names the wrong key, its value and the expected one. Overlapping folders are refused too, because the
worker would process its own files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from db.connection import paths_in_urls
from models import plain_yaml, regular_files
from pipeline import overlapping_folders
from pipeline.errors import SettingsError
from pipeline.ranges import (
    Folder,
    HostAddress,
    HostName,
    ModelName,
    PatternText,
    TimeOfDay,
    TimeZone,
    Token,
    Words,
    explain,
    is_loopback_host,
    known_settings,
    no_boolean,
    siblings,
)

PREFIX = "PAWSORT_"

Permissions = Literal["private", "group", "umask"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _booleans = field_validator("*", mode="before")(no_boolean)


class DecisionSettings(_Section):
    """When a file is filed, and when it goes to uncertain/ for review."""

    target_precision: float = Field(0.995, ge=0.5, le=1.0)
    min_confidence: float | None = Field(None, ge=0.0, le=1.0)
    calibration: Literal["model", "own"] = "model"


class BatchSettings(_Section):
    """Number of files that are classified together, and how long the first waits for others."""

    size: int = Field(64, ge=1, le=1024)
    wait_seconds: float = Field(0.2, ge=0.0, le=60.0)


class WatchSettings(_Section):
    """How new files are noticed, when they count as complete, and whether `sorted` is followed."""

    mode: Literal["auto", "native", "polling"] = "auto"
    settle_seconds: float = Field(2.0, ge=0.0, le=3600.0)
    rescan_seconds: float = Field(60.0, ge=0.001, le=86400.0)
    ignore: tuple[PatternText, ...] = ()
    sorted: bool = True

    _booleans = field_validator("mode", "settle_seconds", "rescan_seconds", mode="before")(no_boolean)


class FilingSettings(_Section):
    """How files are filed. `companions`: files that belong to a photo, such as sidecars, travel with it."""

    companions: bool = True

    _booleans = field_validator("action", mode="before", check_fields=False)(no_boolean)


class LimitSettings(_Section):
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


class ReportSettings(_Section):
    """When the nightly reports are written, and the time zone of their days."""

    at: TimeOfDay = "00:10"
    timezone: TimeZone = "UTC"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days begin and end."""
        return ZoneInfo(self.timezone)


class WebSettings(_Section):
    """Address of the web pages; any other than loopback needs a token."""

    host: HostAddress = "127.0.0.1"
    port: int = Field(8420, ge=1, le=65535)
    token: Token | None = None
    hosts: tuple[HostName, ...] = ()

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> Self:
        if self.token is None and not is_loopback_host(self.host):
            raise ValueError(f"host {self.host} can be reached by other machines: expected a token too")
        return self


class LearnSettings(_Section):
    """When a model is learnt from what people said, in the time zone of the reports, and who promotes it."""

    at: TimeOfDay | None = None
    min_new: int = Field(50, ge=1, le=1_000_000)
    promote: Literal["ask", "auto"] = "ask"


class LogSettings(_Section):
    """Format and level of the log on stderr."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


EngineKind = Literal["auto", "tensorflow", "openvino", "int8"]
"""As `models.inference.engines.Kind`; that module takes time to import."""


class Settings(BaseSettings):
    """All settings; every path is absolute. Made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", allow_inf_nan=False
    )

    inboxes: tuple[Folder, ...] = Field((Path("inbox"),), min_length=1)
    sorted: Folder = Path("sorted")
    state: Folder = Path("state")
    reports: Folder = Path("reports")
    database: Words | None = None
    model: ModelName = "cats_dogs"
    engine: EngineKind = "auto"
    decision: DecisionSettings = DecisionSettings()
    batch: BatchSettings = BatchSettings()
    watch: WatchSettings = WatchSettings()
    filing: FilingSettings = FilingSettings()
    limits: LimitSettings = LimitSettings()
    duplicates: Literal["file", "hold"] = "file"
    permissions: Permissions = "private"
    learn: LearnSettings = LearnSettings()
    report: ReportSettings = ReportSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    base: Path = Field(default_factory=Path.cwd, exclude=True)

    @property
    def spool(self) -> Path:
        """Folder of claimed files until they are filed."""
        return self.state / "spool"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the ledger; relative paths in it start at the settings' folder."""
        if self.database is None:
            return paths_in_urls.of_file(self.state / "pawsort.db")
        return paths_in_urls.absolute(self.database, self.base)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give the environment priority over the file, whose values are the keyword arguments."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        for name in ("sorted", "state", "reports"):
            object.__setattr__(self, name, _absolute(self.base, getattr(self, name)))
        object.__setattr__(self, "inboxes", tuple(_absolute(self.base, inbox) for inbox in self.inboxes))
        return self


def load(path: Path) -> Settings:
    """Read and check the settings file `path`; the environment has priority.

    Raises SettingsError, whose message has a line for each error.
    """
    return _checked(path, _read_yaml(path), path.absolute().parent)


def defaults(base: Path) -> Settings:
    """Return the settings for a folder without a settings file: the defaults and the environment.

    Raises SettingsError.
    """
    return _checked(base, {}, base)


def _checked(path: Path, values: dict[str, Any], base: Path) -> Settings:
    _refuse_unknown_environment()
    try:
        settings = Settings(**values, base=base)
    except ValidationError as error:
        raise SettingsError(explain(path, error, Settings, PREFIX)) from error
    except (PydanticSettingsError, RecursionError) as error:
        raise SettingsError(f'environment: {error}; write lists as JSON, such as ["a", "b"]') from error
    overlapping_folders.check(_places(settings))
    try:
        overlapping_folders.check_database(settings.database_url, _places(settings))
    except ValueError as error:
        raise SettingsError(f"database: {error}") from error
    return settings


def _places(settings: Settings) -> list[tuple[str, Path]]:
    places = [(f"inboxes.{i}", inbox) for i, inbox in enumerate(settings.inboxes)]
    return [*places, *((name, getattr(settings, name)) for name in ("sorted", "state", "reports"))]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = plain_yaml.load(regular_files.read_text(path))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; name one with --config PATH") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:  # YAML makes dates and numbers of what looks like them
        raise SettingsError(f"{path}: has a value that cannot be: {error}; write text in quotes") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: is nested too deeply; expected settings as in the README") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected a mapping of settings, got {type(values).__name__}")
    if odd := [key for key in values if not isinstance(key, str)]:
        raise SettingsError(f"{path}: {plain_yaml.quoted(odd[0])}: expected the name of a setting")
    if "base" in values:
        raise SettingsError(f"{path}: base: unknown key; known: {', '.join(known_settings(Settings))}")
    return values


def _refuse_unknown_environment() -> None:
    for variable in os.environ:
        if variable.startswith(PREFIX):
            keys = variable.removeprefix(PREFIX).lower().split("__")
            known = siblings(Settings, keys)
            if keys[-1] not in known:
                raise SettingsError(
                    f"environment variable {variable}: unknown setting; known here: {', '.join(known)}"
                )


def _absolute(base: Path, path: Path) -> Path:
    return Path(os.path.normpath(base / path.expanduser()))
