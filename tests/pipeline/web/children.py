"""What runs in children of tests; light to import, since each child does."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from pipeline.web.drawing import Drawn


def dying_painter(requests: Connection, answers: Connection, limits: Any) -> None:
    """Draw one picture, or die of it."""
    order = requests.recv()
    if order.source == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    answers.send(Drawn(order.id, b"jpeg"))
    requests.recv()
