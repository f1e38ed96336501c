"""Make an ICC profile of the numbers by which HEIF, AVIF and PNG name colours. Source: ITU-T H.273."""

from __future__ import annotations

from functools import cache

import numpy as np

from models.images.colours.matrix_profile import D65, VALUES, Curve, Primaries, matrix_profile, srgb_curve

BT709: Primaries = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: dict[int, Primaries] = {
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # P3 of cinemas
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""Those far from BT.709, which sRGB has; of others nearly all are of old televisions, and near it."""

_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_PQ, _HLG = 16, 18
_WHITE_OF_PQ, _WHITE_OF_HLG = 203 / 10000, 0.265
"""Light of the white of paper; what is brighter becomes white. Source: ITU-R BT.2408."""


@cache
def profile_of(primaries: int, transfer: int) -> bytes:
    """Return the ICC profile of two code points; empty where it is sRGB, or as good as that.

    The curves of video count as that of sRGB, as programs that show pictures take them.
    """
    curve = _curve(transfer)
    if primaries not in _PRIMARIES and curve is None:
        return b""
    return matrix_profile(_PRIMARIES.get(primaries, BT709), srgb_curve() if curve is None else curve)


def _curve(transfer: int) -> Curve | None:
    if transfer in _GAMMAS:
        return np.asarray(VALUES ** _GAMMAS[transfer], np.float64)
    if transfer == _PQ:
        return np.minimum(_pq() / _WHITE_OF_PQ, 1)
    return np.minimum(_hlg() / _WHITE_OF_HLG, 1) if transfer == _HLG else None


def _pq() -> Curve:
    """Return the light of SMPTE ST 2084, where 1 is 10,000 candelas a square metre."""
    root = VALUES ** (32 / 2523)
    above = np.maximum(root - 3424 / 4096, 0)
    return np.asarray((above / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610), np.float64)


def _hlg() -> Curve:
    """Return the light of a scene by ARIB STD-B67."""
    bright = (np.exp((VALUES - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(VALUES <= 0.5, VALUES**2 / 3, bright)
