"""Write a ZIP file piece by piece, without a temporary file and without knowing its length in advance.

Sizes and checksums follow each member (APPNOTE.TXT, section 4.3.9), so nothing is read twice. Large members,
files and numbers of members use ZIP64 (section 4.3.14). Names are stored in UTF-8.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zipfile import ZipFile, ZipInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

Time = tuple[int, int, int, int, int, int]

OLDEST: Time = (1980, 1, 1, 0, 0, 0)
LATEST: Time = (2107, 12, 31, 23, 59, 58)

PIECE_BYTES = 256 * 1024
"""At least so much is collected before it is passed on, the last piece aside."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive: its name, its content in pieces, and the `bytes` that these will not exceed.

    `changed` is a local time; ZIP has none before 1980 and after 2107.
    """

    name: str
    pieces: Iterable[bytes]
    bytes: int
    changed: Time = OLDEST


class _Sink(io.RawIOBase):
    """A file to write to that hands out what was written; without `tell`, so that `zipfile` never seeks."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> Literal[True]:
        return True

    def write(self, data: Buffer, /) -> int:
        self._written += data
        return memoryview(data).nbytes

    def taken(self, least: int = PIECE_BYTES) -> Iterator[bytes]:
        """Yield what was written since the last piece, if it is enough."""
        if len(self._written) >= max(1, least):
            piece = bytes(self._written)
            self._written.clear()
            yield piece


def zipped(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield the bytes of a ZIP file with `members`, each of which is asked for when it is its turn."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:
        for member in members:
            yield from _written(archive, sink, member)
    yield from sink.taken(least=1)


def _written(archive: ZipFile, sink: _Sink, member: Member) -> Iterator[bytes]:
    info = ZipInfo(member.name, min(max(member.changed, OLDEST), LATEST))
    info.external_attr = 0o644 << 16
    info.file_size = member.bytes  # `zipfile` decides by it whether ZIP64 is needed
    with archive.open(info, "w") as file:
        for piece in member.pieces:
            file.write(piece)
            yield from sink.taken()
