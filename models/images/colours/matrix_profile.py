"""Write an ICC profile of three primaries, a white and a tone curve. Source: ICC.1:2001."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
"""Chromaticity x and y of CIE 1931."""

Primaries = tuple[Point, Point, Point, Point]
"""White, red, green and blue."""

Curve = npt.NDArray[np.float64]
"""Light, 0 to 1, of evenly spaced values from 0 to 1, both inclusive."""

VALUES: Curve = np.linspace(0, 1, 1024)
D65: Point = (0.3127, 0.329)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_VERSION, _HEAD_BYTES = 0x02100000, 128


def srgb_curve() -> Curve:
    """Return the tone curve of sRGB."""
    return np.where(VALUES <= 0.04045, VALUES / 12.92, ((VALUES + 0.055) / 1.055) ** 2.4)


def matrix_profile(primaries: Primaries, curve: Curve) -> bytes:
    """Return an ICC profile, version 2.1, of RGB with these primaries, and this curve for each channel.

    Raises ValueError (numpy.linalg.LinAlgError is one) for primaries that span no colours.
    """
    table = np.clip(np.round(curve * 65535), 0, 65535).astype(">u2").tobytes()
    tone = struct.pack(">4sII", b"curv", 0, len(curve)) + table
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(primaries).T, strict=True)
    tags = {b"wtpt": _xyz(_D50), **{name: _xyz(column) for name, column in columns}}
    return _written({**tags, b"rTRC": tone, b"gTRC": tone, b"bTRC": tone})


def _colorants(primaries: Primaries) -> npt.NDArray[np.float64]:
    """Return XYZ of red, green and blue as columns, adapted to D50 as by Bradford."""
    if any(not 0 < y <= 1 or not 0 <= x <= 1 for x, y in primaries):
        raise ValueError(f"chromaticities {primaries}")
    white, *colours = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in primaries)
    matrix = np.stack(colours, axis=1)
    scaled = matrix * np.linalg.solve(matrix, white)
    adapted = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD @ scaled)
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 4:
        raise ValueError(f"chromaticities {primaries}")
    return np.asarray(adapted, np.float64)


def _xyz(values: npt.NDArray[np.float64]) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(float(value) * 65536) for value in values))


def _written(tags: dict[bytes, bytes]) -> bytes:
    start = _HEAD_BYTES + 4 + 12 * len(tags)
    lines, body = [struct.pack(">I", len(tags))], b""
    for name, content in tags.items():
        lines.append(struct.pack(">4sII", name, start + len(body), len(content)))
        body += content + bytes(-len(content) % 4)
    illuminant = struct.pack(">3i", *(round(float(value) * 65536) for value in _D50))
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", _VERSION, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    head = (head.ljust(68, b"\0") + illuminant).ljust(_HEAD_BYTES, b"\0")
    return b"".join((head, *lines, body))
