"""Move a photo and its companions together: all of them, or, after an error, none.

A photo's companions lie beside it wherever it is, under names that follow from its own, so the names as they
arrived, which the row has, are enough to find them. In the spool, where a photo has another name, they are
`spooled`. Paths are absolute and bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
from collections.abc import Container, Iterable, Sequence
from itertools import repeat

from pipeline.companions import rules
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.safe_open import reached

log = logging.getLogger(__name__)

MARK = b"+"
"""Separates the name of a photo in the spool from what stands for the name of its companion."""

Pairs = Sequence[tuple[bytes, bytes]]
"""Where files are, and where each is moved; the photo comes first."""


def beside(path: bytes, arrived: bytes, companions: Iterable[bytes]) -> list[bytes]:
    """Return the paths of companions beside their photo at `path`, whose name was `arrived`."""
    folder, name = os.path.split(path)
    return [os.path.join(folder, rules.paired(each, arrived, name)) for each in companions]


def destination(
    folder: bytes, source: bytes, arrived: bytes, companions: Sequence[bytes], refused: Container[bytes] = ()
) -> bytes:
    """Choose a path as `naming.destination`, free for the photo's companions too.

    `arrived` is the name that the photo had in its inbox. Paths of `refused` count as taken.
    """
    return moves.destination(
        folder,
        source,
        lambda path: path in refused or os.path.lexists(path),
        beside=lambda path: beside(path, arrived, companions),
        reserve=rules.longest_rest(companions, arrived) if companions else 0,
    )


def spooled(spool: bytes, name: bytes) -> bytes:
    """Return the path in the spool of the companion that arrived as `name`; its photo is at `spool` there."""
    return spool + MARK + hashlib.blake2b(name, digest_size=8).hexdigest().encode()


def bring_in(inbox: bytes, source: bytes, spool: bytes, companions: Sequence[bytes]) -> tuple[bytes, ...]:
    """Move the companions of a photo from its inbox into the spool, where it is already. Idempotent.

    Returns the names of those that are in the spool now: one that is gone, or that its folder refuses, is
    left out. Raises OSError for an error of every file.
    """
    folder = os.path.dirname(source)
    return tuple(
        name for name in companions if _bring_in(inbox, os.path.join(folder, name), spooled(spool, name))
    )


def _bring_in(inbox: bytes, source: bytes, target: bytes) -> bool:
    try:
        with reached(inbox, source) as path:
            if os.path.lexists(target):
                return _is_complete(path, target)
            moves.move(path, target)
            if stat.S_ISREG(os.lstat(target).st_mode):
                return True
            moves.rename(target, path)
    except moves.FolderError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return os.path.lexists(target)
    except OSError as error:
        if error.errno in SYSTEM_ERRNOS - {errno.EROFS}:
            raise
        name = os.fsdecode(os.path.join(inbox, source))
        log.warning("%a cannot be moved with its photo: %s", name, error.strerror)
    return os.path.lexists(target)


def _is_complete(path: bytes, target: bytes) -> bool:
    """Finish a copy into the spool that was interrupted; another file that took its name since stays."""
    if os.path.lexists(path):
        with contextlib.suppress(FileExistsError):
            moves.resume(path, target, None)
    return True


def targets(photo: bytes | None, companions: Iterable[bytes]) -> list[bytes]:
    """Return what a photo and its companions name, from what the photo's symbolic link names.

    Nothing if it is no link.
    """
    if photo is None:
        return []
    return [photo, *(os.path.join(os.path.dirname(photo), name) for name in companions)]


def move(pairs: Pairs, sha256: str | None, *, resumed: bool = False, targets: Sequence[bytes] = ()) -> None:
    """Move a photo and its companions; a companion that is gone is left out.

    After an error each file is where it was, unless the disk refused that too. With `resumed` an earlier try
    may have been interrupted at any point; `sha256` is the photo's, None if it was never read. `targets` is
    what each names if they are symbolic links; a companion may be a file all the same, of another program.
    Raises as `moves.move` and `moves.resume`.
    """
    done: list[tuple[bytes, bytes, bytes | None]] = []
    photo = pairs[0]
    try:
        for pair, target in zip(pairs, targets or repeat(None, len(pairs)), strict=True):
            is_link = target is not None and (pair is photo or any(map(os.path.islink, pair)))
            of_link = target if is_link else None
            with contextlib.suppress(*([] if pair is photo else [FileNotFoundError])):
                _move(*pair, of_link or (sha256 if pair is photo else None), resumed)
                done.append((*pair, of_link))
    except OSError:
        _move_back(done)
        raise


def _move(source: bytes, destination: bytes, evidence: str | bytes | None, resumed: bool = False) -> None:
    if resumed:
        moves.resume(source, destination, evidence)
    elif isinstance(evidence, bytes):
        moves.move_link(source, destination, evidence)
    else:
        moves.move(source, destination)


def _move_back(done: Sequence[tuple[bytes, bytes, bytes | None]]) -> None:
    for source, destination, target in reversed(done):
        try:
            _move(destination, source, target)
        except OSError as error:
            why = os.fsdecode(destination), os.fsdecode(source), error.strerror
            log.error("%a cannot be moved back to %a: %s; trying again later", *why)
