"""Where networks that were converted or downloaded are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle.cache import cache_folder


@pytest.mark.parametrize("named", [None, "", ".", "cache", "./cache"])
def test_a_folder_that_is_not_absolute_is_ignored(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_folder() == tmp_path / ".cache" / "pawsort"


def test_an_absolute_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/x")
    assert cache_folder() == Path("/var/cache/x/pawsort")
