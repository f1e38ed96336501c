"""Read what a symbolic link to an original leads to: the only place where a link is followed.

Paths are absolute and bytes.
"""

from __future__ import annotations

import errno
import os

from pipeline.files.copy import Identity, identity
from pipeline.files.safe_open import NotRegularError, opened

Original = tuple[bytes, bytes]
"""An inbox, absolute, and the path of a file below it."""


def content_path(path: bytes, original: Original | None) -> bytes:
    """Return the path of the regular file that has the content of `path`.

    That is `path` itself, unless it must be a symbolic link to `original`: then the original, to which no
    link below its inbox leads. Raises NotRegularError if `path` is no link, or names another file; and as
    `opened`, such as FileNotFoundError if the original is gone.
    """
    if original is None:
        return path
    target = os.path.join(*original)
    if target_of(path) != target:
        raise NotRegularError(errno.ELOOP, "is not the link to its original", os.fsdecode(path))
    with opened(*original):
        return target


def content_identity(path: bytes, original: Original | None) -> Identity:
    """Return the identity of the file that has the content of `path`. Raises as `content_path`."""
    return identity(content_path(path, original))


def target_of(path: bytes) -> bytes | None:
    """Return what a symbolic link names; None for anything else. Raises OSError."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def evidence(original: Original | None, sha256: str | None) -> str | bytes | None:
    """Return what proves that a file is that of a row: the target of its link, or else its SHA-256."""
    return sha256 if original is None else os.path.join(*original)
