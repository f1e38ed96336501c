"""Receive the files of a request: streamed to disk, bounded in size and number, removed if anything fails.

The name that a client gives a file is never a name on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from pipeline.files.in_progress import create_in, is_abandoned
from pipeline.settings.sections import LimitSettings
from pipeline.web.middleware.problems import Problem

PREFIX = ".pawsort-upload-"
"""Prefix of names that `watch.ignore_rules` ignores; a word of the request follows, whose lock is beside."""

LOCK = ".lock"

MOST_FILES = 100
MOST_FIELDS = 10
FIELD_BYTES = 4_096
NAME_LETTERS = 255
TOGETHER = 4
"""Limit of all files of one request, as a multiple of `limits.file_mb`."""

BESIDE_BYTES = FIELD_BYTES * (MOST_FIELDS + MOST_FILES)
"""Bytes that a request may have besides its files: fields, headers of parts and boundaries."""

LOOK_BYTES = 16_000_000
"""Bytes of files after which the free space is checked again, since other programs use the disk too."""

RESERVE_BYTES = 100_000_000
"""Space that is left for the worker and its database."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Upload:
    """A received file; `name` is the client's name for it, which is only displayed."""

    path: Path
    name: str
    bytes: int
    sha256: str


@dataclass(slots=True)
class Form:
    """The content of a form: files, and the other fields."""

    files: list[Upload]
    fields: dict[str, str]


@contextlib.asynccontextmanager
async def received(request: Request, folder: Path, limits: LimitSettings) -> AsyncIterator[Form]:
    """Receive the files of a multipart request in `folder`, under random names, until the block ends.

    A file that was not renamed until then is removed. Raises Problem: 400 (not understood, cut off), 413 (too
    large, too many), 415 (no multipart), 507 (no space).
    """
    boundary = _boundary(request)
    _refuse_at_once(request, folder, limits)
    receiver = _FormReceiver(folder, limits)
    try:
        await _receive(request, boundary, receiver)
        yield Form(receiver.files, receiver.fields)
    finally:
        await asyncio.to_thread(receiver.discard)


def sweep(folder: Path) -> None:
    """Remove partial uploads in `folder` of servers that have ended, here or on another machine."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            word = re.split("[-.]", name.removeprefix(PREFIX))[0]
            if name.startswith(PREFIX) and not _is_received(folder / f"{PREFIX}{word}{LOCK}"):
                with contextlib.suppress(OSError):
                    os.unlink(folder / name)


def _is_received(lock: Path) -> bool:
    try:
        return not is_abandoned(lock)
    except FileNotFoundError:
        return False
    except OSError:  # another user's
        return True


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        how = "Send multipart/form-data with the field `file`, as `curl -F file=@cat.jpg` does."
        raise Problem(415, "This is no form with files.", how)
    return options[b"boundary"]


def _refuse_at_once(request: Request, folder: Path, limits: LimitSettings) -> None:
    stated = request.headers.get("content-length", "")
    expected = int(stated) if stated.isdecimal() else limits.file_bytes
    if expected > TOGETHER * limits.file_bytes + BESIDE_BYTES:
        raise _too_large(limits)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Problem(503, f"{folder}: {error.strerror}.", "Make the folder, or mount its disk.") from error
    if expected + RESERVE_BYTES > free:
        raise _no_space()


def _too_large(limits: LimitSettings) -> Problem:
    words = f"A file may have {limits.file_mb:g} MB, a request {TOGETHER} times as much."
    return Problem(413, words, "Send fewer at once, or raise `limits.file_mb`.")


def _no_space() -> Problem:
    return Problem(507, "The disk has no room for this file.", "Free some space, and send it again.")


async def _receive(request: Request, boundary: bytes, receiver: _FormReceiver) -> None:
    try:
        parser = MultipartParser(boundary, receiver.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            # Disks may be slow, and other requests must not wait for them.
            await asyncio.to_thread(parser.write, chunk)
            receiver.bound(len(chunk))
        if not receiver.whole:
            raise Problem(400, "The form was cut off.", "Send it again.")
    except FormParserError as error:
        raise Problem(400, f"The form cannot be understood: {error}.", "Send multipart/form-data.") from error
    except ClientDisconnect:
        raise Problem(400, "The client left in the middle.", "Send it again.") from None
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _no_space() from error
        raise Problem(503, f"The file cannot be stored: {error.strerror}.") from error


class _FormReceiver:
    """Callbacks of the parser, in their order for each part: begin, headers, data, end."""

    def __init__(self, folder: Path, limits: LimitSettings) -> None:
        self.files: list[Upload] = []
        self.fields: dict[str, str] = {}
        self.whole = False
        self._folder = folder
        self._limits = limits
        self._total = 0
        self._read = 0
        self._fields = 0
        self._checked_at = 0
        self._lock: tuple[Path, BinaryIO] | None = None
        self._paths: list[Path] = []
        self._header = [b"", b""]
        self._disposition = b""
        self._part: _FilePart | _FieldPart | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add_to_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add_to_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._data(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def bound(self, length: int) -> None:
        """Count the bytes of a parsed chunk. Raises Problem 413, 507."""
        self._read += length
        if self._read - self._total > BESIDE_BYTES:
            raise Problem(413, f"A form may have {BESIDE_BYTES:,} bytes besides its files.", "Send less.")
        if self._total - self._checked_at >= LOOK_BYTES:
            self._checked_at = self._total
            if shutil.disk_usage(self._folder).free < RESERVE_BYTES:
                raise _no_space()

    def discard(self) -> None:
        """Close and remove files that were not renamed."""
        if isinstance(self._part, _FilePart):
            self._part.file.close()
        for path in self._paths:
            with contextlib.suppress(OSError):
                path.unlink()
        if self._lock:
            path, file = self._lock
            with file, contextlib.suppress(OSError):
                path.unlink()

    def _begin(self) -> None:
        self._disposition = b""

    def _add_to_header(self, side: int, data: bytes) -> None:
        self._header[side] += data

    def _end_header(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise Problem(413, f"A form may have {MOST_FIELDS} fields.", "Send fewer.")
            self._part = _FieldPart(name)
            return
        if name != "file":
            raise Problem(422, f"Files come in the field `file`, not `{name[:40]}`.", "Rename the field.")
        if len(self.files) >= MOST_FILES:
            raise Problem(413, f"A request may bring {MOST_FILES} files.", "Send them in several requests.")
        shown = options[b"filename"].decode("utf-8", "replace")[-NAME_LETTERS:]
        path = self._folder / f"{PREFIX}{self._word}-{secrets.token_hex(8)}.part"
        self._part = _FilePart(path, shown)
        self._paths.append(path)

    @property
    def _word(self) -> str:
        """The word in the names of the files of this request, whose lock is held while they are received."""
        self._lock = self._lock or create_in(self._folder, PREFIX, LOCK)
        return self._lock[0].name.removeprefix(PREFIX).removesuffix(LOCK)

    def _data(self, data: bytes) -> None:
        assert self._part
        if isinstance(self._part, _FilePart):
            self._total += len(data)
            if (
                self._part.bytes + len(data) > self._limits.file_bytes
                or self._total > TOGETHER * self._limits.file_bytes
            ):
                raise _too_large(self._limits)
        self._part.write(data)

    def _end(self) -> None:
        if isinstance(self._part, _FilePart):
            self.files.append(self._part.finished())
        elif self._part:
            self.fields[self._part.name] = bytes(self._part.value).decode("utf-8", "replace")
        self._part = None

    def _finish(self) -> None:
        self.whole = True


class _FilePart:
    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.bytes = 0
        self.file: BinaryIO = open(path, "xb")  # noqa: SIM115 - closed by `finished` or `discard`
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self._digest.update(data)
        self.bytes += len(data)

    def finished(self) -> Upload:
        self.file.close()
        return Upload(self.path, self.name, self.bytes, self._digest.hexdigest())


class _FieldPart:
    def __init__(self, name: str) -> None:
        self.name = name
        self.value = bytearray()

    def write(self, data: bytes) -> None:
        self.value += data
        if len(self.value) > FIELD_BYTES:
            raise Problem(413, f"The field `{self.name[:40]}` is too long.", f"{FIELD_BYTES} bytes at most.")
