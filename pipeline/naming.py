"""Choose where a file goes: pure but for what it asks of `taken` and `is_folder`."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable

from pipeline.folders import is_folder

NAME_MAX = 255
PATH_MAX = 4095
_EXTENSION_MAX = 32
_NUMBER_MAX = 1 << 40


def destination(
    folder: bytes,
    source: bytes,
    taken: Callable[[bytes], bool],
    is_folder: Callable[[bytes], bool] = is_folder,
) -> bytes:
    """Choose a free absolute path in the class's `folder` for `source`, a path relative to its inbox.

    Subfolders are kept; `a.jpg` beside another becomes `a (2).jpg`. Where a file or a link stands in a
    subfolder's place, the subfolder is numbered in the same way. Names are cut to 255 bytes, the extension
    kept and no UTF-8 character cut in two; subfolders are dropped where the path would be too long.

    `taken` says whether a path exists *or was promised to another file of the batch*, or has refused a
    rename. It is asked about 2 log2(n) times when n files have the name, since numbers are searched by
    doubling and halving. Raises ValueError if `source` names no file.
    """
    *parents, name = [part for part in source.split(b"/") if part not in (b"", b".", b"..")] or [b""]
    if not name or source.endswith((b"/", b"/.", b"/..")):
        raise ValueError(f"{source!r} does not name a file")
    longest = len(folder) + sum(len(part) + 32 for part in parents) + NAME_MAX
    for part in parents if longest < PATH_MAX else ():
        folder = _first_free(folder, part, b"", lambda path: taken(path) and not is_folder(path))
    stem, extension = os.path.splitext(name)
    if len(extension) > _EXTENSION_MAX:
        stem, extension = name, b""
    return _first_free(folder, stem, extension, taken)


def _first_free(folder: bytes, stem: bytes, extension: bytes, taken: Callable[[bytes], bool]) -> bytes:
    """Find a number that is free while the one before it is taken."""

    def path(number: int) -> bytes:
        return os.path.join(folder, numbered(stem, extension, number))

    low, high = 0, 1
    while taken(path(high)):
        low, high = high, high * 2
        if high > _NUMBER_MAX:
            raise FileExistsError(errno.EEXIST, "no free name", path(1))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(path(middle)) else (low, middle)
    return path(high)


def plain(source: bytes) -> bytes:
    """Return `source` in letters that every file system knows; for those that refuse its own."""
    return b"/".join(
        re.sub(rb"[^A-Za-z0-9._ ()-]", b"_", part)[-120:].rstrip(b" .") for part in source.split(b"/")
    )


def numbered(stem: bytes, extension: bytes, number: int) -> bytes:
    """Return `stem (number)extension` in at most 255 bytes; number 1 is not written."""
    mark = b" (%d)" % number if number > 1 else b""
    return _cut(stem, NAME_MAX - len(mark) - len(extension)) + mark + extension


def _cut(text: bytes, length: int) -> bytes:
    if len(text) <= length:
        return text
    # A byte 10xxxxxx continues a character; no character has more than three of them.
    for _ in range(3):
        if text[length] & 0xC0 == 0x80:
            length -= 1
    return text[:length]
