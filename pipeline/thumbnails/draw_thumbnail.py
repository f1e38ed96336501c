"""Run in the thumbnail process: decode a photo by `models.images.decode`, and encode it small.

So the pages serve only bytes that Pawsort encoded: no SVG, no HTML in a comment, no location in EXIF.
"""

from __future__ import annotations

import contextlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

from models.images.decode import UnreadableImage, fit
from pipeline.classifier.encode_jpeg import encode_jpeg
from pipeline.classifier.messages import Ready
from pipeline.files.safe_open import opened
from pipeline.settings.sections import LimitSettings

THREADS = 2
MEMORY_BYTES = 4_000_000_000
"""Address space of the process: enough for 200 megapixels, and less than what would hurt the machine."""

NICENESS = 10
"""Lowers the priority: thumbnails wait for the worker, never the other way round."""


@dataclass(frozen=True, slots=True)
class ThumbnailRequest:
    """To the child: draw a file. `source` is relative to `root`, and no link below `root` is followed.

    `longest` is the longer side in pixels.
    """

    id: int
    root: Path
    source: bytes
    longest: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """From the child: a JPEG, or why there is none."""

    id: int
    jpeg: bytes | None
    problem: str = ""


def draw_thumbnails(requests: Connection, answers: Connection, limits: LimitSettings) -> None:
    """Run in the child: send Ready, then a Thumbnail for each ThumbnailRequest until the pipe ends."""
    os.nice(NICENESS)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    lock = Lock()
    answers.send(Ready())

    def work(request: ThumbnailRequest) -> None:
        thumbnail = draw(request, limits)
        with lock:
            answers.send(thumbnail)

    with ThreadPoolExecutor(THREADS) as pool, contextlib.suppress(EOFError, OSError):
        while True:
            pool.submit(work, requests.recv())


def draw(request: ThumbnailRequest, limits: LimitSettings) -> Thumbnail:
    """Draw one file; each problem with it is a Thumbnail without a JPEG."""
    try:
        with opened(request.root, request.source) as file:
            if file.stat.st_size > limits.file_bytes:
                return Thumbnail(request.id, None, "too_large")
            with open(file.fd, "rb", closefd=False) as stream:
                data = stream.read(limits.file_bytes + 1)
        return Thumbnail(request.id, encode_jpeg(fit(data, request.longest, limits.pixels)))
    except UnreadableImage as error:
        return Thumbnail(request.id, None, error.reason)
    except FileNotFoundError:
        return Thumbnail(request.id, None, "the file is missing")
    except OSError:
        return Thumbnail(request.id, None, "unreadable")
    except MemoryError:
        return Thumbnail(request.id, None, "it takes too much memory")
