"""Settings: typed, frozen, read once from `config.yaml` and the environment.

An error names the wrong key, its value and the expected one. Overlapping folders are refused too, because the
worker would process its own files.
"""

from __future__ import annotations

import os
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_serializer, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from db.connection import paths_in_urls
from models import plain_yaml, regular_files
from pipeline.errors import SettingsError
from pipeline.settings import overlapping_folders
from pipeline.settings.messages import explain, inbox_of, siblings
from pipeline.settings.ranges import FilingAction, Folder, ModelName, Words, WorkerName
from pipeline.settings.sections import (
    HIDDEN,
    BackupSettings,
    BatchSettings,
    DecisionSettings,
    EngineKind,
    FilingSettings,
    KeepSettings,
    LearnSettings,
    LimitSettings,
    LogSettings,
    NotifySettings,
    OutcomeSettings,
    Permissions,
    ReportSettings,
    WatchSettings,
    WebSettings,
    known_settings,
)

FILE_NAME = "config.yaml"
PREFIX = "PAWSORT_"
FILE_VARIABLE = "PAWSORT_CONFIG"  # names the settings file of every command that is given none


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
    worker: WorkerName | None = None
    model: ModelName = "cats_dogs"
    engine: EngineKind = "auto"
    filing: FilingSettings = FilingSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    decision: DecisionSettings = DecisionSettings()
    batch: BatchSettings = BatchSettings()
    watch: WatchSettings = WatchSettings()
    limits: LimitSettings = LimitSettings()
    duplicates: Literal["file", "hold"] = "file"
    permissions: Permissions = "private"
    learn: LearnSettings = LearnSettings()
    report: ReportSettings = ReportSettings()
    backup: BackupSettings = BackupSettings()
    keep: KeepSettings = KeepSettings()
    notify: NotifySettings = NotifySettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    base: Path = Field(default_factory=Path.cwd, exclude=True)
    inbox_actions: tuple[FilingAction | None, ...] = Field((), exclude=True)
    inbox_shares: tuple[str | None, ...] = Field((), exclude=True)

    @property
    def spool(self) -> Path:
        """Folder of claimed files until they are filed."""
        return self.state / "spool"

    @property
    def backups(self) -> Path:
        """Folder of the scheduled backups, and of those before an upgrade of the database."""
        return _absolute(self.base, self.backup.folder)

    def action_of(self, inbox: Path) -> FilingAction:
        """Return how files are taken from one of the inboxes."""
        return dict(zip(self.inboxes, self.inbox_actions, strict=False)).get(inbox) or self.filing.action

    def share_of(self, inbox: Path) -> str | None:
        """Return which part of an inbox is taken, such as `1/3`; None for all of it."""
        return dict(zip(self.inboxes, self.inbox_shares, strict=False)).get(inbox)

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

    @model_validator(mode="before")
    @classmethod
    def _split_inboxes(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take actions and shares out of the list of inboxes, which then has their paths alone."""
        if not isinstance(given := values.get("inboxes"), list) or not given:
            return values
        paths, actions, shares = zip(*map(inbox_of, range(len(given)), given), strict=True)
        return {**values, "inboxes": paths, "inbox_actions": actions, "inbox_shares": shares}

    @field_serializer("inboxes")
    def _with_actions(self, inboxes: tuple[Path, ...]) -> list[Any]:
        of_each = zip_longest(map(str, inboxes), self.inbox_actions, self.inbox_shares)
        named = [dict(zip(("path", "action", "share"), each, strict=True)) for each in of_each]
        said = [{key: value for key, value in each.items() if value} for each in named]
        return [each if len(each) > 1 else each["path"] for each in said]

    @model_validator(mode="after")
    def _duplicates_under_two_names(self) -> Self:
        named = "duplicates" in self.model_fields_set, "duplicates" in self.outcomes.model_fields_set
        if all(named) and self.duplicates != self.outcomes.duplicates:
            both = f"duplicates: {self.duplicates} and outcomes.duplicates: {self.outcomes.duplicates}"
            raise ValueError(f"{both} are one setting; expected one of them, or the same value")
        one = self.duplicates if named[0] else self.outcomes.duplicates
        object.__setattr__(self, "duplicates", one)
        object.__setattr__(self, "outcomes", self.outcomes.model_copy(update={"duplicates": one}))
        return self

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        for name in ("sorted", "state", "reports"):
            object.__setattr__(self, name, _absolute(self.base, getattr(self, name)))
        object.__setattr__(self, "inboxes", tuple(_absolute(self.base, inbox) for inbox in self.inboxes))
        return self


def load(path: Path, base: Path | None = None) -> Settings:
    """Read and check the settings file `path`; the environment has priority.

    Relative paths start at `base`, by default the folder of the file. Raises SettingsError, whose message has
    a line for each error.
    """
    return _checked(path, _read_yaml(path), base or path.absolute().parent)


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
    overlapping_folders.check(places(settings))
    try:
        overlapping_folders.check_database(settings.database_url, places(settings))
    except ValueError as error:
        raise SettingsError(f"database: {error}") from error
    return settings


def places(settings: Settings) -> list[tuple[str, Path]]:
    """Return the folders that must not overlap, each with the name of its setting."""
    inboxes = [(f"inboxes.{i}", inbox) for i, inbox in enumerate(settings.inboxes)]
    # Where nothing was said of backups, a folder of older settings may lie around their default.
    backups = [("backup.folder", settings.backups)] if settings.backup.model_fields_set else []
    return [*inboxes, *((name, getattr(settings, name)) for name in ("sorted", "state", "reports")), *backups]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = plain_yaml.load(regular_files.read_text(path))
    except FileNotFoundError as error:
        why = f"; {FILE_VARIABLE} names it" if str(path) == os.environ.get(FILE_VARIABLE) else ""
        why += "; `pawsort init FOLDER` makes one, and --config PATH names another"
        raise SettingsError(f"{path}: no such file{why}") from error
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
    if hidden := [key for key in HIDDEN if key in values]:
        raise SettingsError(f"{path}: {hidden[0]}: unknown key; known: {', '.join(known_settings(Settings))}")
    return values


def _refuse_unknown_environment() -> None:
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            keys = variable.removeprefix(PREFIX).lower().split("__")
            known = siblings(Settings, keys)
            if keys[-1] not in known:
                why = f"unknown setting; known here: {', '.join(known)}"
                raise SettingsError(f"environment variable {variable}: {why}")


def _absolute(base: Path, path: Path) -> Path:
    return Path(os.path.normpath(base / path.expanduser()))
