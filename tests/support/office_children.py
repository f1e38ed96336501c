"""Main functions of child processes in place of those that write files for an office; quick to import."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.classifier.messages import Ready
from pipeline.office.messages import ChoosePhotos, Chosen, WritePage, Written
from pipeline.thumbnails.draw_thumbnail import Thumbnail, ThumbnailRequest


def dying(requests: Connection, answers: Connection, _: Any) -> None:
    """Be killed by the first request."""
    answers.send(Ready())
    requests.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(requests: Connection, answers: Connection, _: Any) -> None:
    """Answer nothing."""
    answers.send(Ready())
    requests.recv()
    time.sleep(3600)


def on_a_full_disk(requests: Connection, answers: Connection, _: Any) -> None:
    """Write nothing, because there is no room."""
    answers.send(Ready())
    with contextlib.suppress(EOFError):
        while True:
            requests.recv()
            answers.send(Written(failed="No space left on device"))


def naming_its_pictures(requests: Connection, answers: Connection, _: Any) -> None:
    """Want pictures of the photos 1 to 4; the path of the page names those that came."""
    answers.send(Ready())
    with contextlib.suppress(EOFError):
        while True:
            request = requests.recv()
            if isinstance(request, ChoosePhotos):
                answers.send(Chosen(tuple(ThumbnailRequest(n, Path("/"), b"x", 9) for n in range(1, 5))))
            elif isinstance(request, WritePage):
                answers.send(Written((Path(" ".join(map(str, request.jpegs))),)))


def drawing(requests: Connection, answers: Connection, _: Any) -> None:
    """Draw all photos but the second, which kills this process, and the fourth."""
    answers.send(Ready())
    with contextlib.suppress(EOFError):
        while True:
            request = requests.recv()
            if request.id == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            answers.send(Thumbnail(request.id, b"\xff\xd8 picture" if request.id < 4 else None))
