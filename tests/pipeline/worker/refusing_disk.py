"""A disk that refuses paths, and what the worker says of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.files import renames
from pipeline.worker.loop import Worker


def reasons(worker: Worker) -> str:
    """Say what the worker's health gives for reasons."""
    return "; ".join(worker.in_flight.health(worker.trouble, None, 0)[1])


class Disk:
    """Refuses what is made under `sorted`, as its `rule` says of each path: an errno, or 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rule: Callable[[bytes], int]) -> None:
        self.rule = rule
        mkdir, rename = os.mkdir, renames._rename_noreplace

        def make(path: Any, *rest: Any) -> None:
            self.ask(os.fsencode(path))
            mkdir(path, *rest)

        def move(source: bytes, destination: bytes) -> None:
            self.ask(destination)
            rename(source, destination)

        monkeypatch.setattr(os, "mkdir", make)
        monkeypatch.setattr(renames, "_rename_noreplace", move)
        monkeypatch.setattr(renames, "_link_and_unlink", move)

    def ask(self, path: bytes) -> None:
        below = path.partition(b"/sorted/")[2]
        if below and (code := self.rule(below)):
            raise OSError(code, os.strerror(code), path)
