"""Open a TIFF with Pillow, corrected where Pillow would show other pixels than libtiff does.

Pillow decodes uncompressed TIFFs itself and leaves compressed ones to libtiff. Its own decoder shows
noise for planes of 16 bits and for subsampled YCbCr; libtiff reads both.
"""

from __future__ import annotations

from PIL import ImagePalette
from PIL.ImageFile import _Tile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from models.images.formats.errors import unsupported
from models.images.formats.orientation import read_orientation

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 258, 259, 262, 277, 284
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_COLOUR_MAP, _EXTRA = 320, 338
_ORIENTATION, _XMP, _FORMAT = 274, 700, 339
_UNCOMPRESSED, _LZW = 1, 5
_FAX_AND_JPEG = (2, 3, 4, 6, 7, 32771)
_GREYS_AND_PALETTE, _YCBCR = (0, 1, 3), 6
_PLANES = ("RGB", "RGBA", "CMYK")
"""Modes that Pillow fills plane by plane rightly; of LA and LAB it would confuse the channels."""
_COLOURS = {
    0: "grey", 1: "grey", 2: "RGB", 3: "a palette", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab",
    10: "Lab", 32803: "a sensor's colours", 32844: "grey in logarithms", 32845: "colours in logarithms",
    34892: "a sensor's colours",
}  # fmt: skip
_NUMBERS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex floating-point "}
_NATIVE = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}
"""libtiff gives numbers in the order of the processor, where Pillow expects that of the file."""


class TiffDecoder(TiffImageFile):
    """A TIFF whose first page is decoded as libtiff would; otherwise as in Pillow."""

    packing = _UNCOMPRESSED
    """How the file says that it is compressed."""

    def _setup(self) -> None:
        tags = self.tag_v2
        self.packing = int(tags.get(_COMPRESSION, _UNCOMPRESSED))
        if _PHOTOMETRIC not in tags and tags.get(_COMPRESSION, 1) not in _FAX_AND_JPEG:
            tags[_PHOTOMETRIC] = 2 if tags.get(_SAMPLES, 1) == 3 else 1  # libtiff's guess; Pillow's is 0
        planes = tags.get(_PLANAR, 1) == 2 and tags.get(_SAMPLES, 1) > 1
        if planes and tags.get(_PHOTOMETRIC) in _GREYS_AND_PALETTE:
            self._keep_first_plane()
            planes = False
        if tags.get(_COMPRESSION, 1) == _UNCOMPRESSED and (planes or tags.get(_PHOTOMETRIC) == _YCBCR):
            # libtiff sees for itself how a file is compressed. Pillow reads this, and then asks libtiff.
            tags[_COMPRESSION] = _LZW
        try:
            super()._setup()
        except SyntaxError as error:
            if "unknown pixel mode" not in str(error):
                raise
            raise unsupported(_described(self.tag_v2)) from error
        self._size = self._tile_size  # Pillow gives the size that the picture will have when it is turned
        if planes:
            self._check_planes()
        if self.use_load_libtiff:
            self.tile = [_in_native_order(tile) for tile in self.tile]
        if self.mode in ("P", "PA"):
            self._correct_palette()

    def load_end(self) -> None:
        """Leave the picture as it lies, where Pillow would turn all of it; it is turned when it is small."""

    @property
    def orientation(self) -> int:
        """How the picture is to be turned, 1 to 8 as EXIF counts."""
        said = self.tag_v2.get(_ORIENTATION)
        if said is not None and said in range(1, 9):
            return int(said)
        xmp = self.tag_v2.get(_XMP)
        return read_orientation(b"", xmp if isinstance(xmp, bytes) else b"")

    def _keep_first_plane(self) -> None:
        """Forget the planes after the first, all of unknown meaning, as libtiff does."""
        tags = self.tag_v2
        if any(tags.get(_EXTRA, ())):
            raise unsupported("a TIFF whose transparency is in a plane of its own beside grey")
        for tag in (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES):
            if tag in tags:
                tags[tag] = tags[tag][: len(tags[tag]) // tags[_SAMPLES]]
        tags[_BITS], tags[_SAMPLES], tags[_PLANAR] = tags.get(_BITS, (1,))[:1], 1, 1
        tags.pop(_EXTRA, None)

    def _check_planes(self) -> None:
        depths = set(self.tag_v2.get(_BITS, (1,)))
        if self.mode not in _PLANES or not depths <= {8, 16} or len(depths) != 1:
            raise unsupported(f"a TIFF of {self.mode} in planes of {sorted(depths)} bits")

    def _correct_palette(self) -> None:
        colours = self.tag_v2.get(_COLOUR_MAP, ())
        if colours and max(colours) < 256:  # libtiff takes it for one of 8 bits, as old programs wrote it
            self.palette = ImagePalette.raw("RGB;L", bytes(colours))


def _described(tags: ImageFileDirectory_v2) -> str:
    """Say of what kind a TIFF is that no decoder here reads."""
    channels, depths = int(tags.get(_SAMPLES, 1)), tags.get(_BITS, (1,))
    bits = "/".join(map(str, depths if len(set(depths)) > 1 else depths[:1]))
    colours = _COLOURS.get(tags.get(_PHOTOMETRIC, 0), "colours of an unknown kind")
    numbers = _NUMBERS.get(tags.get(_FORMAT, (1,))[0], "")
    several = f" and {channels} channels" if channels > 1 else ""
    return f"a TIFF of {colours} with {numbers}numbers of {bits} bits{several}"


def _in_native_order(tile: _Tile) -> _Tile:
    if not isinstance(tile.args, tuple):
        return tile
    return tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
