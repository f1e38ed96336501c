"""The one place that imports TensorFlow and Keras; only what makes or runs a network imports it."""

from __future__ import annotations

import os

# TensorFlow brings an SQLite of its own, without full-text search, and shows it to all: which of them is
# loaded first serves the process.
import sqlite3  # noqa: F401
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Both are read once, during the import. Level 3, since TensorFlow calls a machine without a GPU an error;
# what really fails is raised as an exception. A Keras set up for another backend would build networks that no
# engine of ours can freeze.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

_CHATTER = (b"WARNING: All log messages before absl::InitializeLog()", b"I0000 ")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to stderr, then let through all but TensorFlow's notes.

    It writes those below Python, before it has read any log level.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not line.startswith(_CHATTER)))


with _without_chatter():
    import keras as _keras
    import tensorflow as _tensorflow

keras: Any = _keras
tf: Any = _tensorflow
