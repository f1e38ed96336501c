"""Pack a bundle for support: settings, state, versions and findings, without photos or secrets.

Names of photos are replaced by marks unless `names` is set; the same name has the same mark within a bundle.
A part that cannot be made, because the database is damaged or a folder missing, contains the error instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
import sqlite3
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from db.connection.engine import open_database, schema_version
from db.queries.listing import counts
from db.queries.overview import states
from db.schema.file_names import escape
from models import regular_files
from pipeline.classifier.configured_model import load_bundle
from pipeline.files.folders import files_below
from pipeline.files.permissions import own_opener
from pipeline.logs import printable
from pipeline.masking import masked
from pipeline.settings.config import Settings
from pipeline.settings.shown import shown
from pipeline.version import version
from pipeline.worker import status
from pipeline.worker.heartbeat import FILE_NAME

LOG_LINES = 1000
_LOG_BYTES = 1 << 20
_PIECE = 1 << 16
_PACKAGES = (
    "pillow", "pillow-heif", "numpy", "sqlalchemy", "alembic", "watchdog", "tensorflow", "keras",
    "openvino", "pandas", "apscheduler", "pydantic", "apprise",
)  # fmt: skip
_SAFE = re.compile(rb"\A\.?[A-Za-z0-9]{1,5}\Z")
_QUOTED = re.compile(
    r"""['"].*['"]""", re.DOTALL
)  # from the first to the last, because a name may contain quotes
_HEAD = re.compile(r"\A(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+ )?")


def pack(
    settings: Settings, path: Path, findings: Sequence[dict[str, Any]], names: bool, log: Path | None
) -> None:
    """Write a zip file at `path`, never over another file. Raises FileExistsError, OSError."""
    hide = _Hider(settings) if not names else _Open()
    parts: dict[str, Callable[[], str]] = {
        "about.json": lambda: _json(_about()),
        "settings.yaml": lambda: _settings(settings),
        "status.json": lambda: _json(hide.values(_status(settings))),
        "heartbeat.json": lambda: _json(hide.values(json.loads((settings.state / FILE_NAME).read_text()))),
        "findings.json": lambda: _json(hide.values(list(findings))),
        "database.json": lambda: _json(_database(settings)),
        "folders.json": lambda: _json(_folders(settings)),
        "model.yaml": lambda: (load_bundle(settings).path / "bundle.yaml").read_text(encoding="utf-8"),
    }
    if log is not None:
        tail = _tail(log)
        parts["log.txt"] = lambda: "".join(hide.line(line) + "\n" for line in tail)
    with (
        open(path, "xb", opener=own_opener) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, make in parts.items():
            archive.writestr(name, _made(make, hide))


def _made(make: Callable[[], str], hide: _Hider | _Open) -> str:
    try:
        return make()
    except Exception as error:  # a broken part must not prevent the bundle, which is needed most then
        return _json({"error": hide.line(f"{type(error).__name__}: {error}")})


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n"


def _about() -> dict[str, Any]:
    packages: dict[str, str | None] = {"pawsort": version()}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "sqlite": sqlite3.sqlite_version,
        "packages": packages,
    }


def _settings(settings: Settings) -> str:
    return yaml.safe_dump(shown(settings), sort_keys=False, allow_unicode=True)


def _status(settings: Settings) -> dict[str, Any]:
    engine = open_database(settings.database_url, "read")
    try:
        return status.read(settings, engine).as_dict()
    finally:
        engine.dispose()


def _database(settings: Settings) -> dict[str, Any]:
    engine = open_database(settings.database_url, "read")
    try:
        return {
            "url": masked(settings.database_url),
            "schema_version": schema_version(engine),
            "states": states(engine),
            "outcomes": counts(engine),
        }
    finally:
        engine.dispose()


def _folders(settings: Settings) -> dict[str, Any]:
    """Count the files of each folder of Pawsort, up to 100,000 in each."""
    most = 100_000
    found: dict[str, Any] = {}
    for folder in (*settings.inboxes, settings.sorted, settings.spool, settings.reports):
        files = Counter[str]()
        for number, path in enumerate(files_below(os.fsencode(folder), lambda _: None)):
            if number == most:
                break
            inner = os.path.relpath(path, os.fsencode(folder)).partition(b"/")
            below_sorted = folder == settings.sorted and inner[1]
            files[os.fsdecode(inner[0]) if below_sorted else "files"] += 1
        found[str(folder)] = dict(files) if folder.is_dir() else "missing"
    return found


def _tail(log: Path) -> list[str]:
    with regular_files.open_regular(log) as file:
        if file.seekable():
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            end = file.read()
        else:  # a pipe, as of `journalctl`
            end = b"".join(deque(iter(lambda: file.read(_PIECE), b""), _LOG_BYTES // _PIECE))
        text = end.decode("utf-8", "replace")
    return list(deque((printable(line) for line in text.splitlines()), LOG_LINES))


class _Open:
    """Leave names as they are."""

    def values(self, value: Any) -> Any:
        return value

    def line(self, line: str) -> str:
        return line


class _Hider:
    """Replace names of photos by marks, one for each name, valid within this bundle.

    After a folder of Pawsort, the rest of the text counts as a name, because names may contain spaces, quotes
    and colons. Any text in quotes counts as a name too.
    """

    def __init__(self, settings: Settings) -> None:
        self._salt = secrets.token_bytes(16)
        folders = (*settings.inboxes, settings.sorted, settings.spool, settings.reports)
        self._keep = {str(folder) for folder in (*folders, settings.state)}
        self._folders = sorted((str(folder) + os.sep for folder in folders), key=len, reverse=True)

    def values(self, value: Any, key: str = "") -> Any:
        """Replace names in nested dicts and lists: `last_file`, and possible names in any text."""
        if isinstance(value, dict):
            return {name: self.values(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.values(each, key) for each in value]
        if not isinstance(value, str) or value in self._keep:
            return value
        return self._mark(value) if key == "last_file" else self.line(value)

    def line(self, line: str) -> str:
        """Replace possible names in a line of a log or a message."""
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                return json.dumps({name: self._text(str(text)) for name, text in json.loads(line).items()})
        head = _HEAD.match(line)
        start = head.end() if head else 0
        return line[:start] + self._text(line[start:])

    def _text(self, text: str) -> str:
        for spelling in self._spellings():
            before, folder, name = text.partition(spelling)
            if folder:
                return self._quoted(before) + folder + self._mark(name)
        return self._quoted(text)

    def _spellings(self) -> Iterator[str]:
        for folder in self._folders:
            yield folder
            yield escape(os.fsencode(folder))
            yield ascii(folder)[1:-1]

    def _quoted(self, text: str) -> str:
        return _QUOTED.sub(lambda match: self._mark(match[0]), text)

    def _mark(self, name: str) -> str:
        extension = os.fsencode(os.path.splitext(name)[1])
        shown = extension.decode() if _SAFE.match(extension) else ""
        raw = name.encode("utf-8", "surrogatepass")
        return f"name-{hashlib.blake2b(raw, key=self._salt, digest_size=5).hexdigest()}{shown}"
