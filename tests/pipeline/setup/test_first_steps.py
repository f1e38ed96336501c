from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.setup.first_steps import first_steps
from tests.support.installation import Installation


@pytest.mark.parametrize(
    ("level", "command"), [("1", "make run ARGS=--serve"), (None, "pawsort run --serve")]
)
def test_they_say_where_to_drop_photos_how_to_open_the_pages_and_how_to_stop(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, level: str | None, command: str
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if level:
        monkeypatch.setenv("MAKELEVEL", level)
    text = first_steps(pawsort.settings, has_pages=False)
    assert str(pawsort.inbox) in text and command in text and "Ctrl-C" in text
    monkeypatch.chdir(pawsort.folder)
    assert "drop photos into  ./inbox" in first_steps(pawsort.settings, has_pages=False)
    assert "pages             http://127.0.0.1:8420/\n" in first_steps(pawsort.settings, has_pages=True)


def test_a_folder_elsewhere_has_its_whole_path(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"{pawsort.settings.sorted}, a folder" in first_steps(pawsort.settings, has_pages=False)
