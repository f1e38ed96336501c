"""Choose a free path for a file.

Pure except for the calls of `taken` and `is_folder`, and for `plain_instead`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable

from pipeline.files.folders import PATH_MAX, is_folder, refused_part

NAME_MAX = 255
_EXTENSION_MAX = 32
_NUMBER_MAX = 1 << 40
_PLAIN_MAX = 120
_DEVICE = re.compile(rb"(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\.|$)", re.IGNORECASE)


def destination(
    folder: bytes,
    source: bytes,
    taken: Callable[[bytes], bool],
    is_folder: Callable[[bytes], bool] = is_folder,
    beside: Callable[[bytes], Iterable[bytes]] = lambda _: (),
    reserve: int = 0,
) -> bytes:
    """Choose a free absolute path in the class's `folder` for `source`, a path relative to its inbox.

    Subfolders are kept; a second `a.jpg` becomes `a (2).jpg`. If a file or a link has a subfolder's name, the
    subfolder is numbered in the same way. Names are cut to 255 bytes, the extension
    kept and no UTF-8 character split; subfolders are dropped if the path would be too long.

    `taken` returns whether a path exists, *is reserved for another file of the batch* or has refused a
    rename. It is called about 2 log2(n) times if n files have the name, since the search doubles and halves
    numbers. `beside` returns the paths of companions beside the file at a path: a name is free if theirs are
    too. They need `reserve` bytes beside the stem. Raises ValueError if `source` names no file.
    """
    *parents, name = _parts(source) or [b""]
    if not name or source.endswith((b"/", b"/.", b"/..")):
        raise ValueError(f"{source!r} does not name a file")
    longest = len(folder) + sum(len(part) + 32 for part in parents) + NAME_MAX
    for part in parents if longest < PATH_MAX else ():
        folder = _first_free(folder, part, b"", lambda path: taken(path) and not is_folder(path))
    return _first_free(
        folder, *split_extension(name), lambda path: taken(path) or any(map(taken, beside(path))), reserve
    )


def _parts(source: bytes) -> list[bytes]:
    return [part for part in source.split(b"/") if part not in (b"", b".", b"..")]


def split_extension(name: bytes) -> tuple[bytes, bytes]:
    """Split off the extension, with its dot, unless it is too long to keep."""
    stem, extension = os.path.splitext(name)
    return (stem, extension) if len(extension) <= _EXTENSION_MAX else (name, b"")


def _first_free(
    folder: bytes, stem: bytes, extension: bytes, taken: Callable[[bytes], bool], reserve: int = 0
) -> bytes:
    """Find a number that is free while the one before it is taken."""

    def path(number: int) -> bytes:
        return os.path.join(folder, numbered(stem, extension, number, reserve))

    low, high = 0, 1
    while taken(path(high)):
        low, high = high, high * 2
        if high > _NUMBER_MAX:
            raise FileExistsError(errno.EEXIST, "no free name", path(1))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(path(middle)) else (low, middle)
    return path(high)


def plain_instead(source: bytes, destination: bytes, root: bytes) -> bytes | None:
    """Return `source` with a plain name for the part of its `destination` below `root` that the disk refuses.

    None if no name is the cause. Raises OSError as `folders.refused_part`.
    """
    part = refused_part(destination, root)
    return plain_in(source, part, destination.split(b"/")[part]) if part else None


def plain_in(source: bytes, part: int, refused: bytes) -> bytes | None:
    """Return `source` with a plain name for its `part`, counted from the end as -1, -2 ...

    `refused` is the name that the file system refused for that part. Returns None if it was plain already, so
    that the name is not the cause.
    """
    parts = _parts(source)
    if _is_plain(refused) or -part > len(parts):
        return None
    parts[part] = plain(parts[part])
    return b"/".join(parts)


def plain(name: bytes, most: int = _PLAIN_MAX) -> bytes:
    """Return a name of a file or folder that every file system accepts, with the same extension.

    Only ASCII letters, digits and `._ ()-`, for disks of other systems; at most `most` bytes, for encrypted
    names; no dot or space at either end; no name of a device. Source: "Naming Files, Paths, and
    Namespaces", learn.microsoft.com.
    """
    letters = re.sub(r"[^A-Za-z0-9._ ()-]", "_", name.decode("utf-8", "replace")).encode()
    stem, extension = split_extension(letters)
    whole = (stem.strip(b" ")[: most - len(extension)] + extension).rstrip(b" .")
    return b"_" + whole if not whole or _DEVICE.match(whole) else whole


def _is_plain(name: bytes) -> bool:
    most = _PLAIN_MAX + len(b" (%d)" % _NUMBER_MAX)
    return plain(name, most) == name


def numbered(stem: bytes, extension: bytes, number: int, reserve: int = 0) -> bytes:
    """Return `stem (number)extension` in at most 255 bytes; number 1 is not written.

    The stem leaves room for `reserve` bytes, if that is more than the extension has.
    """
    mark = b" (%d)" % number if number > 1 else b""
    return _cut(stem, NAME_MAX - len(mark) - max(len(extension), reserve)) + mark + extension


def _cut(text: bytes, length: int) -> bytes:
    if len(text) <= length:
        return text
    # A byte 10xxxxxx continues a character; no character has more than three of them.
    for _ in range(3):
        if text[length] & 0xC0 == 0x80:
            length -= 1
    return text[:length]
