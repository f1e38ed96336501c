"""HEIF and AVIF: boxes within boxes. `meta` has still pictures as items, `moov` has films as tracks.

Sources: ISO/IEC 14496-12 (boxes, tracks), 23008-12 (items), AV1 Image File Format. Every loop is bounded
by the length of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from models.images.formats.errors import UnreadableImage, corrupt, truncated, unsupported

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
_TOP_LEVEL = {b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid"}
_DECODERS = {b"hvc1": "HEIF", b"hev1": "HEIF", b"av01": "AVIF"}
_DERIVED = {b"grid", b"iovl", b"iden"}  # made of other items
_PICTURES = b"pict"  # the handler of a track; a film has "vide", its sound "soun"
_MOST_FRAMES = 1_000_000_000

Box = tuple[bytes, int, int]
"""Name, and where the content starts and ends."""


@dataclass(frozen=True, slots=True)
class HeifHeader:
    """The format that decodes it, width and height of its largest picture in pixels, frames of a sequence."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(slots=True)
class Item:
    """A still picture: its codec, its properties in order, and where its bytes are."""

    kind: bytes
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    extents: list[tuple[int, int]] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def property(self, name: bytes) -> bytes | None:
        """Return the content of the first property with this name."""
        return next((content for found, content in self.properties if found == name), None)


@dataclass(slots=True)
class _Track:
    handler: bytes = b""
    frames: int = 1


def read_heif(data: bytes, kind: str) -> HeifHeader:
    """Read how large the pictures are, and which decoder the first one needs; `kind` is what the brand says.

    Raises UnreadableImage (truncated, corrupt, unsupported); struct.error or IndexError where data ends.
    """
    sizes: list[tuple[int, int]] = []
    tracks: list[_Track] = []
    for name, start, end in boxes(data, 0, len(data)):
        if end > len(data):
            if _has_picture(data):
                break
            raise truncated(f"the {kind} ends within its {name.decode('latin-1')!r} box")
        if name == b"ispe":
            sizes.append(struct.unpack_from(">II", data, start + 4))
        elif name == b"trak":
            tracks.append(_Track())
        elif tracks:
            _note(tracks[-1], data, name, start)
    pictures = [track for track in tracks if track.handler == _PICTURES]
    if codec := _codec(primary_items(data)):
        kind = _format_of(codec, kind)
    elif not sizes and pictures:
        raise unsupported(f"a {kind} sequence without a still picture")
    if not sizes:
        raise truncated(f"the {kind} ends before it says how large it is")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return HeifHeader(kind, width, height, max([1, *(track.frames for track in pictures)]))


def _note(track: _Track, data: bytes, name: bytes, start: int) -> None:
    if name == b"hdlr" and not track.handler:
        track.handler = data[start + 8 : start + 12]
    elif name == b"stsz":
        track.frames = min(struct.unpack_from(">I", data, start + 8)[0], _MOST_FRAMES)


def _codec(items: dict[int, Item]) -> bytes:
    """Return the codec of the primary item, or of the first that it is made of."""
    for item in items.values():
        if item.kind not in _DERIVED:
            return item.kind
    return b""


def _format_of(codec: bytes, kind: str) -> str:
    if codec not in _DECODERS:
        raise unsupported(f"a {kind} of the codec {codec.decode('latin-1')!r}")
    return _DECODERS[codec]


def boxes(data: bytes, at: int, end: int, depth: int = 0) -> Iterator[Box]:
    """Yield each box and, right behind it, those within it; `end` of one may be beyond the data."""
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = at + length if length else end
        if depth == 0 and name not in _TOP_LEVEL and after > end:
            return  # something behind the picture
        if after < start:
            raise corrupt(f"the box {name.decode('latin-1')!r} is shorter than its own header")
        yield name, start, after
        if name in _CONTAINERS and depth < len(_CONTAINERS):
            yield from boxes(data, start + _CONTAINERS[name], min(after, end), depth + 1)
        at = after


def primary_items(data: bytes) -> dict[int, Item]:
    """Return the primary item and those that it is made of, by id; none where the file does not say."""
    found: dict[bytes, Box] = {}
    film = 0
    properties: list[tuple[bytes, bytes]] = []
    try:
        for name, start, end in boxes(data, 0, len(data)):
            film = end if name == b"moov" else film
            if start < film:
                continue
            if b"ipco" in found and start < found[b"ipco"][2]:
                properties.append((name, data[start:end]))
            found.setdefault(name, (name, start, end))
        items = {number: Item(kind) for number, kind in _kinds(data, found[b"iinf"])}
        for number, index in _associations(data, found[b"ipma"]):
            if number in items and 0 < index <= len(properties):
                items[number].properties.append(properties[index - 1])
        _locate(items, data, found)
        version, at = data[found[b"pitm"][1]], found[b"pitm"][1] + 4
        (first,) = struct.unpack_from(">I" if version else ">H", data, at)
        parts = _parts(data, found[b"iref"], first) if b"iref" in found else []
        return {number: items[number] for number in [first, *parts] if number in items}
    except (KeyError, IndexError, struct.error, UnreadableImage):
        return {}


def _kinds(data: bytes, box: Box) -> Iterator[tuple[int, bytes]]:
    _, start, end = box
    at = start + (6 if data[start] == 0 else 8)
    for name, inner, _ in boxes(data, at, end, 1):
        if name == b"infe" and data[inner] >= 2:
            wide = data[inner] > 2
            number, _, kind = struct.unpack_from(">IH4s" if wide else ">HH4s", data, inner + 4)
            yield number, kind


def _associations(data: bytes, box: Box) -> Iterator[tuple[int, int]]:
    _, start, end = box
    wide_id, wide_index = data[start] > 0, data[start + 3] & 1
    at = start + 8
    for _ in range(min(struct.unpack_from(">I", data, start + 4)[0], 65536)):
        if at >= end:
            return
        (number,) = struct.unpack_from(">I" if wide_id else ">H", data, at)
        at += 4 if wide_id else 2
        count, at = data[at], at + 1
        for _ in range(count):
            index = struct.unpack_from(">H", data, at)[0] & 0x7FFF if wide_index else data[at] & 0x7F
            at += 2 if wide_index else 1
            yield number, index


def _parts(data: bytes, box: Box, first: int) -> list[int]:
    _, start, end = box
    number = ">I" if data[start] else ">H"
    for name, at, _ in boxes(data, start + 4, end, 1):
        (whose,) = struct.unpack_from(number, data, at)
        if name == b"dimg" and whose == first:
            (count,) = struct.unpack_from(">H", data, at + struct.calcsize(number))
            return list(struct.unpack_from(f">{count}{number[1]}", data, at + struct.calcsize(number) + 2))
    return []


def _locate(items: dict[int, Item], data: bytes, found: dict[bytes, Box]) -> None:
    _, at, _ = found[b"iloc"]
    version, sizes = data[at], struct.unpack_from(">BB", data, at + 4)
    offset, length, base, index = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    at += 6

    def take(width: int) -> int:
        nonlocal at
        at += width
        if at > len(data):
            raise IndexError
        return int.from_bytes(data[at - width : at], "big")

    for _ in range(take(4 if version > 1 else 2)):
        number = take(4 if version > 1 else 2)
        method = take(2) & 15 if version else 0
        take(2)
        start = take(base)
        for _ in range(take(2)):
            take(index if version else 0)
            if not offset and not length:
                break  # the whole file, or nonsense that would take long
            first, count = start + take(offset), take(length)
            if method == 0 and number in items:
                items[number].extents.append((first, count))


def coded_spans(data: bytes) -> list[tuple[int, int]]:
    """Return where the coded data of the primary picture are, as far as the file says."""
    extents = [extent for item in primary_items(data).values() for extent in item.extents]
    return [(start, start + (count or len(data))) for start, count in extents]


def _has_picture(data: bytes) -> bool:
    """Return whether a file that was cut has all data of its primary picture."""
    spans = coded_spans(data)
    return bool(spans) and max(end for _, end in spans) <= len(data)


def clean_aperture(data: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the part of the primary picture that is to be shown: left, top, right, bottom in pixels.

    `size` is that of the decoded picture. None where all of it is to be shown, or the part does not fit.
    """
    item = next(iter(primary_items(data).values()), None)
    aperture = item.property(b"clap") if item else None
    if aperture is None or len(aperture) < 32:
        return None
    numbers = struct.unpack_from(">IIIIiIiI", aperture)
    if not all(numbers[1::2]):
        return None
    sides = [Fraction(*numbers[at : at + 2]) for at in (0, 2, 4, 6)]
    left, top = (
        (whole - side) / 2 + shift for whole, side, shift in zip(size, sides[:2], sides[2:], strict=True)
    )
    box = round(left), round(top), round(left + sides[0]), round(top + sides[1])
    fits = 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    return box if fits else None


def without_film(data: bytes) -> bytes:
    """Return the file with its films marked as free space: a decoder of stills may stumble over them."""
    if not primary_items(data):
        return data
    for name, start, _ in list(boxes(data, 0, len(data))):
        if name == b"moov":
            at = data.rindex(b"moov", 0, start)
            data = data[:at] + b"free" + data[at + 4 :]
    return data


def plain_avif(data: bytes) -> bytes | None:
    """Write the primary picture of an AVIF as a file of its own, for a decoder that is strict about the rest.

    Transparency, metadata and sequences are left out. None where that picture is not one AV1 item, or has
    parts that overlap.
    """
    item = next(iter(primary_items(data).values()), None)
    if item is None or item.kind != b"av01" or not item.extents:
        return None
    spans = [(start, min(start + (count or len(data)), len(data))) for start, count in item.extents]
    if sum(end - start for start, end in spans if end > start) > len(data):
        return None  # parts that overlap, which no real file has, would fill the memory
    payload = b"".join(data[start:end] for start, end in spans)
    needed = (b"ispe", b"av1C", b"colr", b"pixi", b"irot", b"imir", b"clap")
    kept = [_box(name, content) for name, content in item.properties if name in needed]
    head = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    meta = _meta(kept, 0, len(payload))
    meta = _meta(kept, len(head) + len(meta) + 8, len(payload))
    return head + meta + _box(b"mdat", payload)


def _meta(properties: list[bytes], offset: int, length: int) -> bytes:
    count = len(properties)
    associations = struct.pack(">IIHB", 0, 1, 1, count) + bytes(0x80 | n for n in range(1, count + 1))
    content = [
        _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
        _box(b"pitm", struct.pack(">IH", 0, 1)),
        _box(b"iloc", struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, offset, length)),
        _box(
            b"iinf",
            struct.pack(">IH", 0, 1) + _box(b"infe", struct.pack(">IHH4sB", 2 << 24, 1, 0, b"av01", 0)),
        ),
        _box(b"iprp", _box(b"ipco", b"".join(properties)) + _box(b"ipma", associations)),
    ]
    return _box(b"meta", bytes(4) + b"".join(content))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content
