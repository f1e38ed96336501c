"""Read found files, a piece at a time, and check the headers of pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator

from db.ledger.by_hand import PictureHeader
from models.images.formats.errors import UnreadableImage
from pipeline.classifier.file_checks import examine
from pipeline.files.copy import identity
from pipeline.files.safe_open import leased, open_regular
from pipeline.settings.sections import LimitSettings
from pipeline.watch.stability import FileSnapshot

_CHUNK = 1 << 20


def digest(seen: FileSnapshot) -> Generator[None, None, str | None]:
    """Hash a file, yielding between pieces; return None if it is not `seen` any more, or is written to.

    Also None if it cannot be read.
    """
    try:
        fd, _ = open_regular(seen.path)
    except OSError:
        return None
    try:
        if leased(fd) is False:
            return None
        found = hashlib.sha256()
        while chunk := os.read(fd, _CHUNK):
            found.update(chunk)
            yield
        return found.hexdigest() if identity(fd) == seen[1:] else None
    except OSError:
        return None
    finally:
        os.close(fd)


def is_picture(path: bytes, limits: LimitSettings) -> bool:
    """Return whether the header of a file is that of a picture within the limits; nothing is decoded."""
    return header(path, limits) is not None


def header(path: bytes, limits: LimitSettings) -> PictureHeader | None:
    """Return what the header of a picture within the limits says, None for any other file."""
    try:
        fd, status = open_regular(path)
        if status.st_size > limits.file_bytes:
            os.close(fd)
            return None
        with open(fd, "rb") as file:
            _, admitted = examine(file.read(limits.file_bytes + 1), limits)
    except (OSError, UnreadableImage):
        return None
    return PictureHeader(admitted.width, admitted.height, admitted.taken_at)
