"""Die at the n-th system call that changes a file, or let it fail, in a test, without losing the process."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.files import renames

CHANGES = ("open", "write", "fsync", "utime", "link", "symlink", "unlink", "rename", "mkdir")


class Death(BaseException):
    """The process is gone. Not an Exception, so that no handler catches it."""


class Mortal:
    """Let `action` die before its n-th change; what it does after that is not done either, as in a kill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._left = -1
        self._fails: bool | None = None  # None: dies instead; True: goes on failing

    def dies_at(self, n: int, action: Callable[[], Any], *more: tuple[Any, str]) -> bool:
        """Run `action`; return whether it died. `more` are (object, method) that count before and after."""
        self._left, self._fails = n, None
        try:
            self._run(action, *more)
        except Death:
            return True
        return False

    def fails_at(self, n: int, action: Callable[[], Any], *, ever: bool) -> bool:
        """Run `action` while its n-th change fails, or all from then on; return whether one did."""
        self._left, self._fails = n, ever
        with contextlib.suppress(OSError):
            self._run(action)
        return self._left < 0

    def _run(self, action: Callable[[], Any], *more: tuple[Any, str]) -> None:
        with self._monkeypatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, self._counted(getattr(os, name)))
            patch.setattr(renames, "_rename_noreplace", self._counted(renames._rename_noreplace))
            for owner, name in more:
                patch.setattr(owner, name, self._counted(getattr(owner, name), after=True))
            action()

    def _counted(self, call: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._step()
            answer = call(*args, **kwargs)
            if after:
                self._step()
            return answer

        return counted

    def _step(self) -> None:
        if self._fails is None and self._left <= 0:
            raise Death
        self._left -= 1
        if self._fails is not None and (self._left == -1 or (self._fails and self._left < 0)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
