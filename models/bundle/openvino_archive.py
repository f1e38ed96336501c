"""Write an OpenVINO network as one ZIP file of two members, and read it without trusting its headers."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

from models.errors import shortened

_XML, _BIN = "model.xml", "model.bin"
_MADE = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that the same network has the same SHA-256
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Packed so that `zipfile` unpacks no more than is asked for; of bzip2 and LZMA, 1 KB may fill the memory."""
_UNREADABLE = (
    ValueError, EOFError, OSError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class ArchiveError(Exception):
    """Bytes that cannot be an OpenVINO network; the message says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network in OpenVINO's intermediate representation."""

    xml: bytes  # the graph
    weights: bytes


def pack(network: Network) -> bytes:
    """Return a network as the bytes of a ZIP file; the same network always gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in ((_XML, network.xml), (_BIN, network.weights)):
            archive.writestr(zipfile.ZipInfo(name, _MADE), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(data: bytes, limit: int) -> Network:
    """Return the network in the bytes of a ZIP file, of at most `limit` bytes when unpacked.

    Raises ArchiveError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sorted(archive.namelist()) != [_BIN, _XML]:
                held = ", ".join(map(repr, archive.namelist()))
                raise ArchiveError(f"it holds {shortened(held)}, expected {_XML} and {_BIN}")
            if any(member.compress_type not in BOUNDED for member in archive.infolist()):
                raise ArchiveError("a member is neither stored nor deflated, and could grow to any size")
            xml = _member(archive, _XML, limit)
            return Network(xml, _member(archive, _BIN, limit - len(xml)))
    except _UNREADABLE as error:
        raise ArchiveError(f"it is not a readable ZIP file: {error}") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # Headers may lie about the size, so that what is read is counted.
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ArchiveError(f"{name} unpacks to more than is allowed")
    return data
