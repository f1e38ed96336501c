"""Run a function in a new process, so that measurements do not share threads and caches."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def apart(work: Callable[..., Any], *arguments: object) -> Any:
    """Run a function of a module in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()
