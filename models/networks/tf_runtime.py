"""Import TensorFlow, and Keras on first use; every other module gets them from here."""

from __future__ import annotations

import os

# TensorFlow exports symbols of its own SQLite, which has no full-text search; the process uses the
# SQLite that is loaded first.
import sqlite3  # noqa: F401
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models import working_folder

# Both are read once, during the import. Level 3, since TensorFlow logs a missing GPU as an error; failures
# are raised as exceptions. Networks of another Keras backend could not be frozen.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

_CHATTER = (b"WARNING: All log messages before absl::InitializeLog()", b"I0000 ")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Buffer stderr, then write all but TensorFlow's start-up messages.

    TensorFlow writes them from C++ before it reads any log level.
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


@contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Let imports of these packages fail meanwhile, unless they are imported already."""
    left_out = dict.fromkeys(set(packages) - sys.modules.keys())
    sys.modules.update(left_out)  # type: ignore[arg-type]  # None makes an import raise ImportError
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]


# TensorFlow would import Keras, which takes as long again, and which a process that only classifies never
# uses. Keras would import scikit-learn and pandas, for interfaces that are not used here.
with working_folder.left(), _without_chatter(), _without("keras"):
    import tensorflow as _tensorflow

tf: Any = _tensorflow


def __getattr__(name: str) -> Any:
    """Import Keras when it is first asked for."""
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with working_folder.left(), _without("sklearn", "pandas"):
        import keras
    globals()[name] = keras
    return keras
