"""Decode a JPEG, and judge by how much of the picture its data make up.

libjpeg paints grey what is missing, and Pillow drops its warning. But Pillow's decoder takes data in pieces
and stops where they end. So it gets each scan without the marker behind it: a decoder that then asks for more
still lacks blocks. That costs no second decode. Sources: `jdhuff.c`, `jdphuff.c` and `jdmarker.c` of libjpeg.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from models.images.formats.errors import UnreadableImage, corrupt, truncated
from models.images.formats.jpeg import Segment, means_of_blocks
from models.images.formats.jpeg_scans import (
    ARITHMETIC,
    LOSSLESS,
    Scan,
    Scans,
    parts,
    read_scans,
    restarts_lost,
)

_TOLERATED = 0.02
"""The share of a picture that may be missing: it is hardly seen, and some cameras lose the last few bytes."""

_END, _END_MARKER = b"\xff\xd9", 0xD9
_PADDING = bytes(16)  # the decoder reads ahead by 8 bytes at most
_PROBE = b"\xfe" * 12  # a block hardly fits into one such byte, and never into each of twelve
_ZEROS = bytes(64)
_SURPLUS = 512  # bytes behind the last block are few; more, and more than a share of the scan, tell of damage
_MOST_RUNS = 50  # parts with runs of zeros, up to each of which all is decoded again
_LOOKED_AT = (336, 336)  # about what a network sees of a picture
_HOLE = "the JPEG has a long run of zeros where data should be"
_LAST_FEW = 8  # bytes that a decoder needs for the last block, and then it has read ahead
_ROUNDED = 12  # levels by which a mean may exceed black or white when its step is coarse, with a margin
_LOOK = 32  # bytes of a scan that are handed over one by one
_NO_MEMORY = -9
_PLAIN = 256  # pixels of one colour that arithmetic coding may write as one zero byte, with a margin
_ONE_COLOUR = 8  # levels by which a plain part may vary

Pixels = npt.NDArray[np.uint8]


class _Decoder:
    """Pillow's decoder of one JPEG, which is handed `data` piece by piece."""

    def __init__(self, image: JpegImageFile, data: bytes) -> None:
        image.load_prepare()
        codec, extents, _, args = image.tile[0]
        self._image, self._data, self._at, self._left = image, data, 0, b""
        self._codec = Image._getdecoder(image.mode, codec, args, image.decoderconfig)
        self._codec.setimage(image.im, extents)
        self.done = False

    def feed(self, data: bytes) -> bool:
        """Decode some more; return whether all rows are there. Raises OSError and MemoryError."""
        if self.done or not data:
            return self.done
        data = self._left + data if self._left else data
        used, error = self._codec.decode(data)
        if error == _NO_MEMORY:
            raise MemoryError
        if error < 0:
            raise OSError(f"{ImageFile.ERRORS.get(error, error)} when reading the JPEG")
        self.done = used < 0
        self._left = b"" if self.done else data[used:]
        if self.done:
            self._image.tile = []
        return self.done

    def feed_to(self, end: int) -> bool:
        """Decode `data` up to there; return whether all rows are there."""
        self._at, start = max(self._at, end), self._at
        return self.feed(self._data[start : self._at])

    def skips(self, data: bytes) -> bool:
        """Return whether it passes over each of these bytes, as it does when it looks for the next marker."""
        for at in range(len(data)):
            if self._left:
                return False
            self.feed(data[at : at + 1])
        return not self._left

    def skips_data(self, end: int) -> bool:
        """Return whether it passes over the next few bytes of `data`."""
        following = self._data[self._at : min(self._at + _LOOK, end)]
        if self.done or len(set(following)) < _LOOK // 4:
            return False  # blocks of one colour may be as short as a byte
        for at in range(self._at, self._at + len(following)):
            if self._left:
                return False
            self.feed_to(at + 1)
        return not self._left


def load(image: JpegImageFile, size: tuple[int, int], head: Sequence[Segment]) -> JpegImageFile:
    """Decode a JPEG that `read_jpeg` has accepted, at a reduced scale of at least `size` if there is one.

    `head` are its segments up to the first scan. Returns a picture with its pixels loaded. Raises
    UnreadableImage (truncated, corrupt) when more than a fiftieth of the picture is missing or damaged;
    OSError and MemoryError.
    """
    assert isinstance(image.fp, io.BytesIO)
    data = image.fp.getvalue()
    found = read_scans(data, head)
    if not found.scans:
        raise truncated("the JPEG ends before its pixels")
    if found.kind == LOSSLESS:
        size = image.size  # it has no reduced scales
    if found.kind in ARITHMETIC:
        return _load_arithmetic(data, size, found, image.width * image.height // _PLAIN)
    image.draft("RGB", size)
    cut = _decode_scans(image, data, found)
    if cut is None:
        return image
    if _missing(data, cut) > _TOLERATED:
        raise _incomplete(cut)
    _check_means(data, found)
    return _decoded(data, size, [data[: cut.end] + _END])


def _decode_scans(image: JpegImageFile, data: bytes, found: Scans) -> Scan | None:
    """Decode all scans. Return the last one, as far as it has data, if only its end is missing.

    Raises UnreadableImage for what is wrong in front of that.
    """
    pieces = [part for scan in found.scans for part in parts(data, scan)]
    # Before anything else is decoded, since two decoders of a large progressive picture take much memory.
    ends = _ends_after_zeros(data, pieces)
    decoder = _Decoder(image, data)
    for part in pieces:
        if part is not pieces[-1] and part not in ends:  # behind the last block, cameras leave all sorts
            decoder.feed_to(max(part.start, part.end - _margin(part)))
            if decoder.skips_data(part.end):
                raise corrupt("the JPEG has data that belong to no block")
        end = ends.get(part, part.end)
        decoder.feed_to(end - _LAST_FEW)
        left_over = decoder.done
        decoder.feed_to(end)
        if not decoder.feed(_PADDING) and not decoder.skips(_PROBE):
            if part is pieces[-1] and found.exact:
                return replace(found.scans[-1], end=end)
            raise _incomplete(part)
        if decoder.done:
            break
        decoder.feed_to(part.end)
    decoder.feed(_END)
    last = found.scans[-1]
    if not found.exact or not decoder.done:
        raise truncated("the JPEG ends before its last scan") if last.followed else _incomplete(last)
    if max(restarts_lost(data, scan) for scan in found.scans) > _TOLERATED:
        raise _incomplete(last)
    if left_over:
        _check_means(data, found)
    return None


def _check_means(data: bytes, found: Scans) -> None:
    """Raise UnreadableImage (corrupt) if a block's mean is beyond black or white.

    Each mean is coded as the difference to the one before, so other bytes within the data shift all that
    follow. It takes a decode of its own, so only arithmetic coding and data behind the picture are looked at.
    """
    if (plain := means_of_blocks(data, found.head)) is None:
        return
    image = _opened(plain[0], (1, 1))
    image.tile = [image.tile[0]._replace(args=(image.mode, image.mode))]  # as stored, in any space of colour
    decoder = _Decoder(image, plain[0])
    decoder.feed(plain[0][: found.scans[-1].end] + _END)
    means = np.asarray(image, np.int16).reshape(-1, len(plain[1]))
    if decoder.done and (np.abs(means - 128) > np.add(plain[1], _ROUNDED)).any():
        raise corrupt("the JPEG has blocks beyond black or white, as where other bytes stand in its data")


def _ends_after_zeros(data: bytes, pieces: list[Scan]) -> dict[Scan, int]:
    """Return where the blocks end of each part that has a long run of zeros. Raises UnreadableImage."""
    found = [part for part in pieces if data.find(_ZEROS, part.start, part.end) >= 0]
    if len(found) > _MOST_RUNS:
        raise corrupt(_HOLE)
    return {part: _end_of_blocks(data, part) for part in found}


def _margin(part: Scan) -> int:
    return max(_SURPLUS, round(_TOLERATED * (part.end - part.start)))


def _end_of_blocks(data: bytes, part: Scan) -> int:
    """Return where the blocks of a part end that has many zeros: in front of those that are only padding.

    Raises UnreadableImage when zeros stand in place of data: they do not decode to blocks of one colour, or
    to more blocks than there are.
    """
    body, margin = part.start + len(data[part.start : part.end].rstrip(b"\0")), _margin(part)
    in_body = data.find(_ZEROS, part.start, body) >= 0
    early = body - margin > part.start and _is_complete(data, body - margin, b"")
    if early or (in_body and not part.flat):
        raise corrupt(_HOLE)
    if not part.flat:
        return body
    if part.end - body <= len(_PADDING):
        return part.end
    if _is_complete(data, body, _PADDING):
        return body
    if _is_complete(data, part.end - margin, b""):
        raise corrupt(_HOLE)
    return part.end


def _is_complete(data: bytes, end: int, padding: bytes) -> bool:
    """Return whether a scan has all its blocks when its data end there."""
    decoder = _Decoder(_opened(data, (1, 1)), data)
    decoder.feed_to(end)
    return decoder.feed(padding) or decoder.skips(_PROBE)


def _incomplete(part: Scan) -> UnreadableImage:
    if part.marker in (0, _END_MARKER):
        return truncated("the JPEG ends before its last block")
    return corrupt(f"blocks of the JPEG are missing before a marker FF {part.marker:02X}")


def _noise(length: int) -> bytes:
    """Return bytes that decode to what is in no photo; as many as a small part of a picture takes."""
    count = 1024 + round(2 * _TOLERATED * length)
    return np.random.default_rng(0).integers(1, 255, count, dtype=np.uint8).tobytes()


def _missing(data: bytes, last: Scan) -> float:
    """Return the share of the picture, 0 to 1, that depends on what stands behind the data."""
    if lost := restarts_lost(data, last):
        return lost
    image = _opened(data, _LOOKED_AT)
    decoder = _Decoder(image, data)
    decoder.feed_to(last.end)
    if not decoder.feed(_noise(last.end - last.start)) and not decoder.skips(_PROBE):
        return 1.0  # more is missing than this noise makes up
    decoder.feed(_END)
    plain = _decoded(data, _LOOKED_AT, [data[: last.end] + _END])
    return _depending(np.asarray(image), np.asarray(plain))


def _opened(data: bytes, size: tuple[int, int]) -> JpegImageFile:
    image = JpegImageFile(io.BytesIO(data))
    image.draft("RGB", size)
    return image


def _decoded(data: bytes, size: tuple[int, int], pieces: list[bytes]) -> JpegImageFile:
    image = _opened(data, size)
    decoder = _Decoder(image, data)
    for piece in pieces:
        decoder.feed(piece)
    if not decoder.done:
        raise truncated("the JPEG ends before its last row")
    return image


def _load_arithmetic(data: bytes, size: tuple[int, int], found: Scans, most: int) -> JpegImageFile:
    """Decode with all data at once: a decoder of arithmetic coding cannot wait for more.

    An encoder leaves out zeros at the end of a scan, so they are padding or a hole; `most` mean one colour.
    """
    last = found.scans[-1]
    end = last.start + len(data[last.start : last.end].rstrip(b"\0"))
    image = _decoded(data, size, [data[: last.end] + _END])
    spans = [(scan.start, end if scan is last else scan.end) for scan in found.scans]
    if any(data.find(bytes(max(len(_ZEROS), most)), *span) >= 0 for span in spans):
        raise corrupt(_HOLE)
    if restarts_lost(data, last) > _TOLERATED:
        raise _incomplete(last)
    if not found.exact:
        raise truncated("the JPEG ends before its last scan") if last.followed else _incomplete(last)
    _check_means(data, found)
    begun = data[:end] + b"\0" * data.endswith(b"\xff", last.start, end)
    noise = _noise(end - last.start)
    spoilt, plain = (np.asarray(_decoded(data, _LOOKED_AT, [begun + more + _END])) for more in (noise, b""))
    if _depending(spoilt, plain, last.marker == _END_MARKER) > _TOLERATED:
        raise _incomplete(last)
    return image


def _depending(spoilt: Pixels, plain: Pixels, ended: bool = False) -> float:
    """Return the share of a picture, 0 to 1, that depends on the bytes behind its data.

    Where arithmetic coding `ended`, a rest of one colour is whole: it takes no bytes.
    """
    differs = (spoilt != plain).reshape(*plain.shape[:2], -1).any(axis=2)
    if ended and differs.any():
        rest = plain[differs].reshape(int(differs.sum()), -1).astype(np.int16)
        differs[differs] = (np.abs(rest - np.median(rest, axis=0)) > _ONE_COLOUR).any(axis=1)
    return float(differs.mean())
