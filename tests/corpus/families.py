"""All families of the corpus, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.corpus import bmps, cameras, gifs, jpegs, others, pngs, tiffs
from tests.corpus.case import Case

FAMILIES: dict[str, Callable[[], Iterator[Case]]] = {
    "jpeg": jpegs.well,
    "jpeg, odd and broken": jpegs.ill,
    "png": pngs.well,
    "png, odd and broken": pngs.ill,
    "gif": gifs.well,
    "gif, broken": gifs.ill,
    "bmp": bmps.well,
    "bmp, odd and broken": bmps.ill,
    "tiff": tiffs.well,
    "tiff, odd and broken": tiffs.ill,
    "webp": others.webp,
    "heif and avif": others.heif,
    "raw": cameras.raws,
    "raw, odd and broken": cameras.broken_raws,
    "with profiles": cameras.profiles,
    "other pictures and films": others.foreign,
    "no pictures": others.words,
}


def everything() -> Iterator[Case]:
    """Yield each case of each family."""
    for family in FAMILIES.values():
        yield from family()
