"""A bounded place in memory for pictures that were drawn: what was asked for longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

SHELF_BYTES = 64_000_000


class ByteLRUCache:
    """Holds up to `limit` bytes; for all threads."""

    def __init__(self, limit: int = SHELF_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._pictures: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return what was put there, if it is still held."""
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: Hashable, picture: bytes) -> None:
        """Put a picture there, and let others go if it gets crowded."""
        with self._lock:
            self._held += len(picture) - len(self._pictures.pop(key, b""))
            self._pictures[key] = picture
            while self._held > self._limit:
                self._held -= len(self._pictures.popitem(last=False)[1])
