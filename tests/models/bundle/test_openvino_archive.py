from __future__ import annotations

import io
import zipfile

import pytest

from models.bundle.openvino_archive import ArchiveError, Network, pack, unpack

NETWORK = Network(b"<net/>", b"\x00\x01" * 500)


def archive(packing: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as file:
        for name, data in members.items():
            file.writestr(f"model.{name}", data)
    return buffer.getvalue()


def test_a_packed_network_reads_back_and_its_bytes_are_always_the_same() -> None:
    packed = pack(NETWORK)
    assert unpack(packed, 2000) == NETWORK
    assert pack(NETWORK) == packed
    assert b"\x00\x00!\x00" in packed  # the fixed date, 1980-01-01


@pytest.mark.parametrize("data", [b"", b"plain text", b"PK\x03\x04 nothing more", pack(NETWORK)[:-30]])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="not a readable ZIP"):
        unpack(data, 2000)


def test_a_damaged_member_is_refused() -> None:
    noise = bytes((i * i) % 251 for i in range(3000))
    damaged = bytearray(pack(Network(b"<net/>", noise)))
    damaged[200] ^= 1
    with pytest.raises(ArchiveError, match="not a readable ZIP"):
        unpack(bytes(damaged), 10_000)


def test_missing_and_additional_members_are_refused() -> None:
    for members in ({"xml": b"1"}, {"xml": b"1", "bin": b"2", "so": b"3"}):
        with pytest.raises(ArchiveError, match=r"expected model\.xml and model\.bin"):
            unpack(archive(**members), 2000)


def test_a_member_that_unpacks_to_more_than_the_limit_is_refused() -> None:
    bomb = archive(xml=b"1", bin=b"\0" * 1_000_000)
    assert len(bomb) < 2000
    with pytest.raises(ArchiveError, match=r"model\.bin unpacks to more"):
        unpack(bomb, 10_000)
    assert unpack(archive(xml=b"1", bin=b"2"), 2).weights == b"2"
    with pytest.raises(ArchiveError, match="unpacks to more"):
        unpack(archive(xml=b"1", bin=b"2"), 1)


@pytest.mark.fault(102)
@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_of_which_a_little_may_fill_the_memory_are_refused_unread(
    packing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = archive(packing, xml=b"1", bin=b"\0" * 1_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(ArchiveError, match="neither stored nor deflated"):
        unpack(bomb, 10_000)


def test_a_refusal_does_not_repeat_thousands_of_names() -> None:
    with pytest.raises(ArchiveError, match=r"expected model\.xml and model\.bin") as refused:
        unpack(archive(**{str(number): b"" for number in range(5000)}), 2000)
    assert len(str(refused.value)) < 400
