"""Keep the temporary files of openpyxl where there is room, and remove those of killed processes.

It writes each sheet into a file of its own, as large as a gigabyte, and removes them when Python ends, which
a killed process does not do. The usual folder of temporary files may be in memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".office-"


@contextmanager
def scratch_in(folder: Path) -> Iterator[None]:
    """Put temporary files into a folder in `folder` that is removed in the end. Raises OSError.

    One process at a time: it removes what others left.
    """
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as name:
        tempfile.tempdir = name
        try:
            yield
        finally:
            tempfile.tempdir = before
