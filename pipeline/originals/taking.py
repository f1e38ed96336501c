"""Make a copy of an original in the spool, or a link to it; the original stays as it is."""

from __future__ import annotations

import errno
import os

from db.schema.records import Identity
from pipeline.files.copy import copy, copy_quickly, identity
from pipeline.files.exact_copy import copy_open, link_open
from pipeline.files.moves import SourceChangedError
from pipeline.files.safe_open import opened


def take(
    action: str,
    inbox: bytes,
    source: bytes,
    spool: bytes,
    expected: Identity | None = None,
    *,
    durable: bool = False,
) -> None:
    """Make `spool` what the action says: a copy (copy), another name (hardlink) or a symbolic link (symlink).

    `inbox` and `spool` are absolute, `source` relative to the inbox; the original is read, and nothing else.
    The caller makes the new entry durable, and a copy by `sync_copy` before unless it is `durable`. Raises
    SourceChangedError if the original has not the identity `expected` (None: any), FileNotFoundError if it is
    gone, FileExistsError, or another OSError, such as EXDEV and EPERM for a hard link that the disk refuses;
    after each nothing was made.
    """
    with opened(inbox, source) as original:
        expected = expected or identity(original.fd)
        _refuse_changed(identity(original.fd), expected, source)
        if action == "copy":
            copy_open(
                original.fd,
                spool,
                lambda _: _refuse_changed(identity(original.fd), expected, source),
                copy if durable else copy_quickly,
            )
        elif action == "hardlink":
            link_open(original.fd, spool)
        else:
            os.symlink(os.path.join(inbox, source), spool)


def sync_copy(spool: bytes) -> None:
    """Make a copy in the spool durable. Raises OSError, after which it is gone: it must be made again.

    A second sync would succeed, although the disk has lost what the first could not write.
    """
    descriptor = os.open(spool, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        os.unlink(spool)
        raise
    finally:
        os.close(descriptor)


def _refuse_changed(found: Identity, expected: Identity, source: bytes) -> None:
    if found != expected:
        raise SourceChangedError(errno.EBUSY, "changed before it was taken", os.fsdecode(source))
