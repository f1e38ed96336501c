"""Decide by names which files of a folder belong to which photo. Pure.

Names are bytes without folders; letters are compared case-insensitively. A companion is

    RAW       beside a picture of the same stem: `a.CR2` of `a.jpg`
    video     beside a JPEG or HEIC of the same stem: `a.MOV` of `a.HEIC`, a Live Photo
    sidecar   `a.xmp` or `a.jpg.xmp` of `a.jpg`, and the other names that `wanted` lists

A RAW or a video without its picture is a file of its own, and may have sidecars. A sidecar is never one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from pipeline.files.naming import split_extension

Kind = Literal["picture", "raw", "video", "sidecar", "other"]

# The first owns a sidecar that fits several, such as `a.xmp` beside `a.jpg` and `a.png`.
PICTURES = (
    "jpg",
    "jpeg",
    "heic",
    "heif",
    "hif",
    "jpe",
    "jfif",
    "avif",
    "tif",
    "tiff",
    "png",
    "webp",
    "gif",
    "bmp",
)
LIVE_PHOTOS = ("jpg", "jpeg", "heic", "heif", "hif", "jpe")
RAWS = (
    "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "raf", "orf", "rw2", "pef", "raw", "rwl",
    "3fr", "iiq", "erf", "mef", "mos", "mrw", "srw", "x3f", "kdc", "dcr",
)  # fmt: skip
VIDEOS = ("mov", "mp4")
SIDECARS = ("xmp", "aae", "thm", "json", "wav")

_KINDS: dict[bytes, Kind] = {
    **{b"." + name.encode(): "picture" for name in PICTURES},
    **{b"." + name.encode(): "raw" for name in RAWS},
    **{b"." + name.encode(): "video" for name in VIDEOS},
    **{b"." + name.encode(): "sidecar" for name in SIDECARS},
}
_PICTURES = frozenset(ending for ending, of in _KINDS.items() if of == "picture")
_ORDER = [f".{name}".encode() for name in (*PICTURES, *RAWS, *VIDEOS)]

CUT = range(43, 52)
"""Characters after which Google Takeout cuts the name of a photo in the name of its sidecar.

It writes 46 and `.json`, thus 51 in all; versions differ by some, and by a number in brackets.
"""

_SUPPLEMENT = b"supplemental-metadata"  # Takeout since 2024; cut anywhere
_NUMBER = re.compile(rb"(.+)\((\d+)\)", re.DOTALL)
_VERSION = re.compile(rb"(.+)_\d\d", re.DOTALL)  # darktable: further edits of one photo
_APPLE = re.compile(rb"(img_)([eo]?)(\d+)", re.IGNORECASE)
_EDITED = ("-edited", "-bearbeitet", "-modifié", "-editado", "-modificato", "-bewerkt")


class Wanted(NamedTuple):
    """A name that the owner of a companion may have; a lower `rank` is the better fit.

    `stem` and `extension` (with its dot) as the companion spells them; without an `extension` any
    of the kinds that its own kind allows. With `cut` only the beginning of the owner's name is known, and the
    `extension` is how its stem ends.
    """

    rank: int
    stem: bytes
    extension: bytes | None = None
    cut: bool = False


def kind(name: bytes) -> Kind:
    """Return what a name says that a file is."""
    return _KINDS.get(split_extension(name)[1].lower(), "other")


def wanted(name: bytes) -> list[Wanted]:
    """List the names of owners that a companion of this name may have; none for a picture."""
    stem, extension = split_extension(name)
    match kind(name):
        case "raw" | "video":
            return [Wanted(0, stem)]
        case "sidecar":
            return list(_of_sidecar(stem, extension.lower()))
    return []


def _of_sidecar(base: bytes, extension: bytes) -> Iterator[Wanted]:
    stem, inner = split_extension(base)
    yield Wanted(0, stem, inner)
    yield Wanted(2, base)
    if extension == b".json":
        yield from _of_takeout(base)
    elif extension == b".xmp" and inner and (version := _VERSION.fullmatch(stem)):
        yield Wanted(3, version[1], inner)
    elif extension == b".aae" and (apple := _APPLE.fullmatch(base)):
        # IMG_0001.AAE has the edits of IMG_0001, and the edited picture is IMG_E0001.
        yield Wanted(4, apple[1] + (b"" if apple[2] else b"E") + apple[3])


def _of_takeout(base: bytes) -> Iterator[Wanted]:
    numbered = _NUMBER.fullmatch(base)
    core, number = (numbered[1], b"(" + numbered[2] + b")") if numbered else (base, b"")
    title, dot, tail = core.rpartition(b".")
    titles = [core, *([title] if dot and _SUPPLEMENT.startswith(tail.lower()) else [])]
    for each in titles:
        stem, inner = split_extension(each)
        yield Wanted(1, stem + number, inner)
        for suffix in _EDITED if inner else ():
            yield Wanted(5, stem + suffix.encode() + number, inner)
    if _characters(core) in CUT:
        yield Wanted(3, core, number, cut=True)


def fits(companion: bytes, want: Wanted, other: bytes) -> bool:
    """Return whether `other` has the name that a companion wants for its owner."""
    stem, extension = split_extension(other.lower())
    if want.cut:
        begins = other.lower().startswith(want.stem.lower()) and len(other) > len(want.stem)
        return begins and kind(other) != "sidecar" and stem.endswith(want.extension or b"")
    if stem != want.stem.lower():
        return False
    if want.extension is not None:
        return extension == want.extension.lower() and kind(other) != "sidecar"
    return extension[1:].decode("latin-1") in _owners(kind(companion))


def _owners(of: Kind) -> Sequence[str]:
    """Return the extensions of the owners that share their stem with a companion, the best first."""
    if of == "sidecar":
        return (*PICTURES, *RAWS, *VIDEOS)
    return LIVE_PHOTOS if of == "video" else PICTURES


def owner(companion: bytes, others: Iterable[bytes]) -> bytes | None:
    """Return the file of `others` that a companion belongs to; it may be a companion itself."""
    wants = wanted(companion)
    ranked = [
        (want.rank, _preference(other), _differs_in_case(companion, other), other)
        for other in others
        if wants and other != companion
        for want in wants
        if fits(companion, want, other)
    ]
    return min(ranked)[-1] if ranked else None


def _preference(name: bytes) -> int:
    extension = split_extension(name)[1].lower()
    return _ORDER.index(extension) if extension in _ORDER else len(_ORDER)


def _differs_in_case(companion: bytes, other: bytes) -> bool:
    return not companion.startswith(split_extension(other)[0])


def photo_of(name: bytes, names: Collection[bytes]) -> bytes:
    """Return the file among `names` that decides for `name`: itself unless it is a companion.

    The sidecar of a RAW that lies beside its JPEG belongs to the JPEG.
    """
    while (above := owner(name, names)) is not None:
        name = above
    return name


def companions_of(photo: bytes, names: Collection[bytes]) -> tuple[bytes, ...]:
    """Return the files of one folder that belong to `photo`, sorted; none if it is a companion itself."""
    return distinct(photo, [name for name in names if name != photo and photo_of(name, names) == photo])


def distinct(photo: bytes, companions: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the companions that keep different names when the photo is renamed, sorted.

    Of `a.xmp` and `A.xmp` only one can follow `a.jpg` to `a (2).jpg`; the other is left alone.
    """
    stem, extension = split_extension(photo)
    kept: dict[bytes, bytes] = {}
    for name in sorted(companions, key=lambda name: (not name.startswith(stem), name)):
        kept.setdefault(paired(name, photo, stem + b"\0" + extension), name)
    return tuple(sorted(kept.values()))


def paired(companion: bytes, photo: bytes, now: bytes) -> bytes:
    """Return the name of a companion beside its photo, which arrived as `photo` and is called `now`.

    The stem changes as that of the photo: `a.xmp` and `a.jpg.xmp` of `a (2).jpg` are `a (2).xmp` and
    `a (2).jpg.xmp`. A companion whose name has not the photo's stem takes the photo's whole name.
    """
    if now == photo:
        return companion
    stem = split_extension(photo)[0]
    if companion[: len(stem)].lower() == stem.lower():
        return split_extension(now)[0] + companion[len(stem) :]
    return now + split_extension(companion)[1]


def longest_rest(companions: Iterable[bytes], photo: bytes) -> int:
    """Return how many bytes the names of companions have beside the stem of the photo, 0 without any."""
    probe = b"x" + split_extension(photo)[1]
    return max((len(paired(name, photo, probe)) - 1 for name in companions), default=0)


def keys(name: bytes) -> tuple[bytes, ...]:
    """Return under which keys a file is looked up, so that a companion shares one with its owner."""
    if is_picture(name):  # nearly all are, and this is asked for each
        return (name[: name.rindex(b".")].lower(),)
    own = () if kind(name) == "sidecar" else (split_extension(name)[0].lower(),)
    return tuple(dict.fromkeys((*own, *map(_key, wanted(name)))))


def is_picture(name: bytes) -> bool:
    """Return whether a file is a picture by its name, so that it is no companion."""
    return name[name.rfind(b".") :].lower() in _PICTURES


def keys_of_cut(name: bytes) -> list[bytes]:
    """Return the further keys under which a photo finds sidecars that have only the beginning of its name."""
    if len(name) <= CUT[0]:
        return []
    text = name.lower().decode("utf-8", "surrogateescape")
    return [b"\0" + text[:length].encode("utf-8", "surrogateescape") for length in CUT if length < len(text)]


def _key(want: Wanted) -> bytes:
    return b"\0" * want.cut + want.stem.lower()


def _characters(name: bytes) -> int:
    return len(name.decode("utf-8", "surrogateescape"))


def candidates(name: bytes) -> Iterator[bytes]:
    """Yield likely spellings of the owners of a companion, and of theirs, to look them up one by one."""
    of = kind(name)
    for want in wanted(name):
        if want.cut:
            continue
        if want.extension is not None:
            for each in _spellings(want.stem, want.extension):
                yield each
                yield from candidates(each)
        else:
            for extension in _owners(of):
                yield from _spellings(want.stem, b"." + extension.encode())


def _spellings(stem: bytes, extension: bytes) -> list[bytes]:
    """Return a name as it is, and with its stem and its extension in small and in capital letters."""
    stems, extensions = (stem, stem.lower(), stem.upper()), (extension, extension.lower(), extension.upper())
    return list(dict.fromkeys(a + b for a in stems for b in extensions))


def beginnings(name: bytes) -> list[bytes]:
    """Return the beginnings of the owner's name where a sidecar has no more of it."""
    return [want.stem for want in wanted(name) if want.cut]
