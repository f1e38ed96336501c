"""ICC profiles made for tests: of monitors and cameras, of printing, and of grey."""

from __future__ import annotations

import struct

import numpy as np

from models.images.colours.code_points import BT709, profile_of
from models.images.colours.matrix_profile import D65, VALUES, Primaries, matrix_profile, srgb_curve

ADOBE: Primaries = (D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO: Primaries = ((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))

SRGB = matrix_profile(BT709, srgb_curve())
GAMMA_22 = matrix_profile(BT709, VALUES**2.2)
LINEAR = matrix_profile(BT709, VALUES)
ADOBE_RGB = matrix_profile(ADOBE, VALUES ** (563 / 256))
DISPLAY_P3 = profile_of(12, 13)
PROPHOTO_RGB = matrix_profile(PROPHOTO, VALUES**1.8)
WIDE = {"Adobe RGB": ADOBE_RGB, "Display P3": DISPLAY_P3, "ProPhoto RGB": PROPHOTO_RGB}


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey with this exponent."""
    tone = struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256))
    return _written(b"GRAY", b"XYZ ", {b"wtpt": _white(), b"kTRC": tone})


def cmyk_profile(ink: float = 1.0, black: float = 1.0) -> bytes:
    """Return a profile of CMYK whose inks take that share of their light away, and black of all light."""
    steps = 3
    grid = np.linspace(0, 1, steps)
    c, m, y, k = np.meshgrid(grid, grid, grid, grid, indexing="ij")
    light = np.stack([(1 - ink * c), (1 - ink * m), (1 - ink * y)], -1) * (1 - black * k)[..., None]
    table = np.round(_lab(light.reshape(-1, 3)) * [255 / 100, 1, 1] + [0, 128, 128]).clip(0, 255)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
    head = struct.pack(">4sIBBBB", b"mft1", 0, 4, 3, steps, 0)
    return _written(
        b"CMYK",
        b"Lab ",
        {b"wtpt": _white(), b"A2B0": head + matrix + ramp * 4 + table.astype(np.uint8).tobytes() + ramp * 3},
    )


def _lab(light: np.ndarray) -> np.ndarray:
    """Lab of linear sRGB, as adapted to D50."""
    matrix = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    ratio = light @ matrix.T / [0.9642, 1.0, 0.8249]
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _white() -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))


def _written(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    start, lines, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        lines += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02100000, kind, space, connection)
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    return head.ljust(68, b"\0") + _white()[8:] + bytes(48) + lines + body
