"""A server on a socket, in a thread of the test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pipeline.settings.config import Settings
from pipeline.web import server
from pipeline.web.app import create_app
from pipeline.web.served_models.model_registry import SHIPPED, ModelRegistry
from tests.support.child_mains import page_classifier_child
from tests.support.installation import Installation, wait
from tests.support.pictures import encode, scene

PATIENCE = 60.0


def doubtful(base: Path) -> Installation:
    """Six photos in doubt, and four files that failed for different reasons."""
    pawsort = Installation(base)
    pawsort.time -= timedelta(days=1)
    for number in range(6):
        data = encode(scene(160 + number, 120), "JPEG")
        answer = {"reason": "low_confidence", "confidence": 0.4, "scores": {"cat": 0.4, "dog": 0.3}}
        pawsort.file(f"{number}.jpg".encode(), data, "uncertain", **answer)
    for reason in ("empty", "truncated", "corrupt", "unsupported"):
        pawsort.file(f"{reason}.jpg".encode(), reason.encode(), "failed", reason=reason, prediction=None)
    return pawsort


@contextlib.contextmanager
def running(settings: Settings, models: Path = SHIPPED, learn: Sequence[str] = ()) -> Iterator[str]:
    """Yield the address of a server that offers the bundles in `models` and learns by `learn`."""
    # With the protocol named, as `server.listen` does: asyncio sets TCP_NODELAY only then.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        server.bound_buffers(listener)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = create_app(settings, classifier=page_classifier_child, learn=learn)
        app.state.context = replace(app.state.context, models=ModelRegistry(settings, models))
        made = server.make_server(app)
        thread = threading.Thread(target=made.run, args=([listener],), name="pawsort-live")
        thread.start()
        wait(lambda: made.started, "the server")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            made.should_exit = True
            thread.join(PATIENCE)
