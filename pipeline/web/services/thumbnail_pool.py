"""Pictures on order: one thread that keeps a drawing child while there is work, and ends it when idle."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from pipeline.child_process import ChildProcess, Main, ProcessExited
from pipeline.config import LimitSettings
from pipeline.web.services.draw_thumbnail import READY, THREADS, Drawn, Order, draw

log = logging.getLogger(__name__)

IDLE_SECONDS = 180.0
"""How long the child is kept without work."""

START_SECONDS = 60.0
"""How long the child may take until it can draw; a second, unless the machine swaps."""

WAITING = 400
"""Orders that may wait; more are refused, so that nobody waits for what nobody looks at any more."""

_TICK = 0.25


class BusyError(Exception):
    """Too many pictures are on order."""


class ThumbnailPool:
    """Draws pictures of files; `child` is a parameter for tests."""

    def __init__(self, limits: LimitSettings, child: Main = draw) -> None:
        self._limits = limits
        self._main = child
        self._orders: queue.Queue[tuple[Order, Future[Drawn]]] = queue.Queue(WAITING)
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def order(self, root: Path, source: bytes, longest: int) -> Future[Drawn]:
        """Order a picture of `source`, a path relative to `root`. Raises BusyError."""
        future: Future[Drawn] = Future()
        with self._lock:
            try:
                self._orders.put_nowait((Order(next(self._ids), root, source, longest), future))
            except queue.Full:
                raise BusyError from None
            if self._thread is None:
                # The child dies with the thread that made it, so this one lives as long as the child.
                self._thread = threading.Thread(target=self._work, name="pawsort-painter", daemon=True)
                self._thread.start()
        return future

    def close(self) -> None:
        """End the child; what was on order is cancelled."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(10)

    def _work(self) -> None:
        try:
            self._draw()
        except Exception:
            log.exception("the thumbnail process failed")
            self._refuse_waiting("the thumbnail process failed")
        finally:
            with self._lock:
                self._thread = None
                # What came in between is for the next thread; there is none when we close.
                if not self._orders.empty() and not self._closing.is_set():
                    self._thread = threading.Thread(target=self._work, name="pawsort-painter", daemon=True)
                    self._thread.start()

    def _draw(self) -> None:
        child = ChildProcess(self._main, self._limits)
        flying: dict[int, Future[Drawn]] = {}
        try:
            self._serve(child, flying)
        finally:
            child.kill()
            _fail(flying, "the thumbnail process failed")

    def _refuse_waiting(self, why: str) -> None:
        """Answer the orders that wait, since nothing draws them; the next order starts a process again."""
        with contextlib.suppress(queue.Empty):
            while True:
                order, future = self._orders.get_nowait()
                if future.set_running_or_notify_cancel():
                    future.set_result(Drawn(order.id, None, why))

    def _serve(self, child: ChildProcess, flying: dict[int, Future[Drawn]]) -> None:
        patience = START_SECONDS
        moved_at = time.monotonic()
        while not self._closing.is_set():
            if self._hand_over(child, flying):
                moved_at = time.monotonic()
            try:
                drawn = child.receive(_TICK) if flying else None
            except ProcessExited:
                _fail(flying, "the decoder crashed")
                return
            if drawn is not None:
                patience, moved_at = self._limits.decode_seconds, time.monotonic()
            if drawn is not None and drawn != READY:
                flying.pop(drawn.id).set_result(drawn)
            idle = time.monotonic() - moved_at
            if flying and idle > patience:
                _fail(flying, "the decoder did not finish in time")
                return
            if not flying and idle > IDLE_SECONDS:
                return
        _fail(flying, "the server stops")

    def _hand_over(self, child: ChildProcess, flying: dict[int, Future[Drawn]]) -> bool:
        """Give the child as many orders as it has hands, waiting a moment if it has nothing to do."""
        given = False
        while len(flying) < THREADS:
            try:
                order, future = self._orders.get(timeout=0 if flying or given else _TICK)
            except queue.Empty:
                break
            if future.set_running_or_notify_cancel():
                flying[order.id] = future
                child.send(order)
                given = True
        return given


def _fail(flying: dict[int, Future[Drawn]], why: str) -> None:
    for id, future in flying.items():
        future.set_result(Drawn(id, None, why))
    flying.clear()
