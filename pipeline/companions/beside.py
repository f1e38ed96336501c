"""Recognise companions in folders of filed photos, where no index has the names."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from pipeline.companions import rules
from pipeline.files.naming import split_extension

_PICTURES = tuple(f".{name}".encode() for name in rules.PICTURES)
_OTHERS = tuple(f".{name}".encode() for name in (*rules.RAWS, *rules.VIDEOS))
_SIDECARS = tuple(f".{name}".encode() for name in rules.SIDECARS)


def is_companion(path: bytes) -> bool:
    """Return whether the file at `path` (absolute) is a sidecar, or a RAW or video beside its picture.

    Sidecars count without a photo too, because other programs write them, and none is a photo. So does a RAW
    or video whose picture cannot be looked at now: it would be recorded as a photo of its own.
    """
    folder, name = os.path.split(path)
    of = rules.kind(name)
    if of in ("raw", "video"):
        return any(_may_be_there(os.path.join(folder, each)) for each in rules.candidates(name))
    return of == "sidecar"


def _may_be_there(path: bytes) -> bool:
    """Return whether there is a file, also if a disk or network share fails to say."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    return True


def found_beside(path: bytes) -> tuple[bytes, ...]:
    """Return the names of files beside the photo at `path` that belong to it, by the usual names alone.

    Each is looked up, so that a folder of a million photos need not be listed.
    """
    folder, photo = os.path.split(path)
    there = [name for name in _usual(photo) if os.path.isfile(os.path.join(folder, name))]
    of_them = (name + each for name in there if rules.kind(name) in ("raw", "video") for each in _SIDECARS)
    there += [name for name in of_them if os.path.isfile(os.path.join(folder, name))]
    return rules.companions_of(photo, [photo, *there]) if there else ()


def arrived_as(name: bytes, arrived: bytes, now: bytes) -> bytes:
    """Return the name that `rules.paired` makes into `name` for a photo that arrived as `arrived`."""
    if arrived == now:
        return name
    return split_extension(arrived)[0] + name[len(split_extension(now)[0]) :]


def _usual(photo: bytes) -> Iterator[bytes]:
    stem = split_extension(photo)[0]
    endings = [(stem, each) for each in (*_PICTURES, *_OTHERS, *_SIDECARS)]
    for start, ending in (*endings, *((photo, each) for each in _SIDECARS)):
        for name in (start + ending, start + ending.upper()):
            if name != photo:
                yield name
