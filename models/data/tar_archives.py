"""Read photos inside a tar file without unpacking it, so no member can overwrite a file.

A member's path continues that of the archive, as in `data/cifar10.tar/train/cat/1.jpg`.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import error as ZlibError  # noqa: N812 - every exception has a capital

from models.errors import DatasetError

SUFFIXES = (b".tar", b".tar.gz", b".tgz")
LARGEST_MEMBER = 200_000_000  # bytes; no photo is larger
LARGEST_UNPACKED = 50_000_000_000  # bytes of temporary space for a compressed archive


@dataclass(frozen=True, slots=True)
class Archive:
    """The regular files of an archive by name, with offset and size, and the refused members with reasons."""

    descriptor: int  # stays open until the process ends
    members: Mapping[bytes, tuple[int, int]]  # name -> offset and size
    refused: Mapping[bytes, str]

    def read(self, name: bytes) -> bytes:
        """Return a member's bytes. Raises FileNotFoundError, and OSError where the file is cut off."""
        if name not in self.members:
            raise FileNotFoundError(2, "no such member", os.fsdecode(name))
        offset, size = self.members[name]
        data = os.pread(self.descriptor, size, offset)
        if len(data) != size:
            raise OSError(5, "the archive ends before its member does", os.fsdecode(name))
        return data


_open: dict[tuple[bytes, int, int], Archive] = {}
_lock = threading.Lock()


def is_archive(path: bytes) -> bool:
    """Return whether a path is that of an existing tar file."""
    return path.lower().endswith(SUFFIXES) and os.path.isfile(path)


def open_archive(path: bytes) -> Archive:
    """Index an archive, once for each size and time of its file. Raises DatasetError.

    A compressed one is decompressed into a file without a name, which is gone when the process ends.
    """
    path = os.path.realpath(path)
    try:
        state = os.stat(path)
        key = (path, state.st_size, state.st_mtime_ns)
        with _lock:
            if key not in _open:
                _open[key] = _indexed(_plain(path))
            return _open[key]
    except (tarfile.TarError, ZlibError, EOFError, ValueError) as error:
        raise DatasetError(f"{os.fsdecode(path)}: not readable as a tar archive: {error}") from error
    except OSError as error:
        raise DatasetError(f"{os.fsdecode(path)}: cannot be read: {error.strerror or error}") from error


def read(path: bytes) -> bytes:
    """Return the bytes of a member, named by archive and name. Raises OSError where there is none."""
    archive = path
    while (parent := os.path.dirname(archive)) not in (archive, b""):
        archive = parent
        if is_archive(archive):
            return open_archive(archive).read(path[len(archive) + 1 :])
    raise FileNotFoundError(2, "no such file", os.fsdecode(path))


def _plain(path: bytes) -> int:
    """Return a descriptor of the archive itself, or of the file that it was decompressed into."""
    if path.lower().endswith(b".tar"):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with gzip.open(path) as packed, tempfile.TemporaryFile() as unpacked:
        while part := packed.read(1 << 20):
            if unpacked.tell() + len(part) > LARGEST_UNPACKED:
                raise DatasetError(
                    f"{os.fsdecode(path)}: larger than {LARGEST_UNPACKED:,} bytes when unpacked; "
                    "unpack it yourself and name the folder"
                )
            unpacked.write(part)
        unpacked.seek(0)
        return os.dup(unpacked.fileno())


def _indexed(descriptor: int) -> Archive:
    members: dict[bytes, tuple[int, int]] = {}
    refused: dict[bytes, str] = {}
    end = -1
    with (
        os.fdopen(os.dup(descriptor), "rb") as file,
        # Not "r:*": Python would also try other compressions, each with its own decompression bombs.
        tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as archive,
    ):
        for member in archive:
            name = member.name.encode(errors="surrogateescape")
            if member.offset_data < end:  # headers that point backwards would form a loop
                raise tarfile.TarError(f"member {member.name!r} overlaps the one before it")
            end = member.offset_data + (member.size if member.isreg() else 0)
            archive.members = []  # type: ignore[attr-defined]  # else every header stays in memory
            if member.isdir():
                continue
            if problem := _problem(member, name):
                refused[name] = problem
            else:
                members[os.path.normpath(name)] = (member.offset_data, member.size)
    if os.pread(descriptor, 512, -(-end // 512) * 512) != bytes(512):
        raise tarfile.TarError("it is cut off: its end mark is missing")
    return Archive(descriptor, members, refused)


def _problem(member: tarfile.TarInfo, name: bytes) -> str | None:
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        return f"refused: {kind} in an archive"
    if name.startswith(b"/") or b".." in name.split(b"/") or b"\0" in name:
        return "refused: its name leads out of the archive"
    if member.size > LARGEST_MEMBER:
        return f"refused: {member.size:,} bytes, more than a photo has"
    return None
