"""Folders deeper than one path of the system reaches."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.pictures import encode, scene


def deep(top: Path, levels: int, name: str, photo: str) -> str:
    """Make a file below so many folders; return its path."""
    folder = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    with open(os.open(photo, os.O_CREAT | os.O_WRONLY, dir_fd=folder), "wb") as file:
        file.write(encode(scene(8, 8), "PNG"))
    os.close(folder)
    return "/".join([str(top), *[name] * levels, photo])
