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
from models.quick_imports import uncollected

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
def _without_keras() -> Iterator[None]:
    """Let the import of Keras fail meanwhile, unless it is imported already."""
    if "keras" in sys.modules:
        yield
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # makes an import raise ImportError
    try:
        yield
    finally:
        del sys.modules["keras"]


# TensorFlow would import Keras, which takes half as long again; a process that only classifies never uses it.
with working_folder.left(), _without_chatter(), _without_keras(), uncollected():
    import tensorflow as _tensorflow
    from tensorflow.python.autograph.core import ag_ctx as _conversion
    from tensorflow.python.framework.kernels import get_registered_kernels_for_op

    # The first search for a kernel loads each `libtfkernel*.so` of a folder that TensorFlow names by an
    # argument of the process, relative to the working folder: search once where no files of users are.
    get_registered_kernels_for_op("NoOp")

# By default TensorFlow rewrites the functions that it is given: it writes a module into the folder for
# temporary files and imports it. Python then takes the compiled module from `__pycache__` there, which any
# other user may have made and filled. No function here needs that, since none branches on a tensor.
_conversion._default_control_status_ctx = lambda: _conversion.ControlStatusCtx(_conversion.Status.DISABLED)
_conversion.stacks.__dict__.clear()  # of this thread, which has asked for the default by now

tf: Any = _tensorflow


def __getattr__(name: str) -> Any:
    """Import Keras when it is first asked for."""
    if name != "keras":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with working_folder.left(), uncollected():
        import keras
    # Keras takes these from the user's `keras.json`; networks are made and stored for the defaults.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    globals()[name] = keras
    return keras
