"""Die at the n-th system call that changes a file, in a test, without losing the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import filing

CHANGES = ("open", "write", "fsync", "utime", "link", "unlink", "rename", "mkdir")


class Death(BaseException):
    """The process is gone. Not an Exception, so that nobody catches it."""


class Mortal:
    """Let `action` die before its n-th change; what it does after that is not done either, as in a kill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._left = -1

    def dies_at(self, n: int, action: Callable[[], Any], *more: tuple[Any, str]) -> bool:
        """Run `action`; return whether it died. `more` are (object, method) that count before and after."""
        self._left = n
        with self._monkeypatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, self._counted(getattr(os, name)))
            patch.setattr(filing, "_rename_noreplace", self._counted(filing._rename_noreplace))
            for owner, name in more:
                patch.setattr(owner, name, self._counted(getattr(owner, name), after=True))
            try:
                action()
            except Death:
                return True
        return False

    def _counted(self, call: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._step()
            answer = call(*args, **kwargs)
            if after:
                self._step()
            return answer

        return counted

    def _step(self) -> None:
        if self._left <= 0:
            raise Death
        self._left -= 1
