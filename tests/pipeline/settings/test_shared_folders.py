"""`web.shared`: folders of other machines, and where they are mounted here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings.config import load


def loaded(folder: Path, shared: str) -> dict[str, dict[Path, Path]]:
    config = folder / "config.yaml"
    config.write_text(f"web:\n  shared: {shared}\n", encoding="utf-8")
    return load(config).web.shared


def test_folders_are_named_by_their_machine(tmp_path: Path) -> None:
    found = loaded(tmp_path, "{bob: {/srv/pets: /mnt/bob, /more: mnt/more}}")
    assert found == {"bob": {Path("/srv/pets"): Path("/mnt/bob"), Path("/more"): Path("mnt/more")}}
    assert loaded(tmp_path, "{}") == {}


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ("{bob: {pets: /mnt/bob}}", "beginning with /"),
        ("{bob: /mnt/bob}", "expected a mapping"),
        ("{b b: {/srv: /mnt/bob}}", "should match pattern"),
        ("[bob]", "expected a mapping"),
    ],
)
def test_what_names_no_folder_of_a_machine_is_refused(tmp_path: Path, shared: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        loaded(tmp_path, shared)
