"""What the drawing child does: decode a photo by the project's one decoder, and encode it small and plain.

So no byte that somebody else made is ever served: no SVG, no HTML in a comment, no place in the EXIF.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

from PIL import Image

from models.images.decode import Pixels, UnreadableImage, fit
from pipeline.config import LimitSettings
from pipeline.files.safe_open import opened

THREADS = 2
MEMORY_BYTES = 4_000_000_000
"""Address space of the child: enough for 200 megapixels, and less than what would hurt the machine."""

QUALITY = 82
NICENESS = 10
"""Pictures for people wait for the worker, never the other way round."""


@dataclass(frozen=True, slots=True)
class Order:
    """A picture of a file: `source` is relative to `root`, and no link below `root` is followed."""

    id: int
    root: Path
    source: bytes
    longest: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A JPEG, or why there is none."""

    id: int
    jpeg: bytes | None
    problem: str = ""


READY = Drawn(-1, None)
"""From the child, first: it can draw now."""


def draw(requests: Connection, answers: Connection, limits: LimitSettings) -> None:
    """Run in the child: say READY, then answer each Order with a Drawn until the pipe ends."""
    os.nice(NICENESS)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    lock = Lock()
    answers.send(READY)

    def work(order: Order) -> None:
        drawn = picture(order, limits)
        with lock:
            answers.send(drawn)

    with ThreadPoolExecutor(THREADS) as pool, contextlib.suppress(EOFError, OSError):
        while True:
            pool.submit(work, requests.recv())


def picture(order: Order, limits: LimitSettings) -> Drawn:
    """Draw one; whatever is wrong with the file is an answer."""
    try:
        with opened(order.root, order.source) as file:
            if file.stat.st_size > limits.file_bytes:
                return Drawn(order.id, None, "too_large")
            with open(file.fd, "rb", closefd=False) as stream:
                data = stream.read(limits.file_bytes + 1)
        return Drawn(order.id, encode(fit(data, order.longest, limits.pixels)))
    except UnreadableImage as error:
        return Drawn(order.id, None, error.reason)
    except (OSError, MemoryError) as error:
        return Drawn(order.id, None, type(error).__name__)


def encode(pixels: Pixels) -> bytes:
    """Encode uint8 RGB as a JPEG that holds pixels and nothing else."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
