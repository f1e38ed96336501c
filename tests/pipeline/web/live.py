"""A server on a socket, in a thread of the test."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from pipeline.config import Settings
from pipeline.web import server
from pipeline.web.app import create_app
from tests.pipeline.web.children import trial_child

PATIENCE = 60.0


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        made = server.make_server(create_app(settings, classifier=trial_child))
        thread = threading.Thread(target=made.run, args=([listener],), name="pawsort-live")
        thread.start()
        wait(lambda: made.started)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            made.should_exit = True
            thread.join(PATIENCE)


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
