from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

from pipeline.export.zip_stream import PIECE_BYTES, Member, zipped


def opened(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def test_members_are_read_one_piece_after_the_other_while_the_archive_is_handed_out() -> None:
    asked: list[int] = []

    def content() -> Iterator[bytes]:
        for number in range(40):
            asked.append(number)
            yield bytes([number]) * 100_000

    pieces = []
    for piece in zipped([Member("a/ü.bin", content(), 4_000_000)]):
        pieces.append(piece)
        assert len(piece) <= PIECE_BYTES + 100_000, "memory is bounded"
        if len(pieces) == 1:
            assert len(asked) < 5
    with opened(b"".join(pieces)) as archive:
        assert archive.namelist() == ["a/ü.bin"]
        assert archive.read("a/ü.bin") == b"".join(bytes([n]) * 100_000 for n in range(40))


def test_times_out_of_the_range_of_zip_and_sizes_beyond_4_gb_are_written() -> None:
    made = [
        Member("old", [b"x"], 1, (1970, 1, 1, 0, 0, 0)),
        Member("new", [b"x"], 1, (2300, 1, 1, 0, 0, 0)),
        Member("huge", [b"x"], 5_000_000_000),
    ]
    data = b"".join(zipped(made))
    with opened(data) as archive:
        assert archive.testzip() is None
        years = [info.date_time[0] for info in archive.infolist()[:2]]
        assert years == [1980, 2107]
    # Before Python 3.11.4 the list at the end of the archive does not say it, only the member's own header.
    assert data.partition(b"huge")[2].startswith(b"\x01\x00\x10\x00"), "the extra field of ZIP64"
