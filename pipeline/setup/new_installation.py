"""Make a new installation: a `config.yaml` with all settings explained, and the folders that it names."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker.startup import prepare_folders

SETTINGS = Path(__file__).with_name("config.yaml")
"""The explained settings: a link to those of the repository, and a file in a wheel."""


def make(folder: Path) -> tuple[Settings, list[Path]]:
    """Make what is missing of an installation in `folder`; return its settings, and what was made.

    Nothing that exists is changed; where a `config.yaml` is there, its folders are made. Raises SettingsError
    if a folder cannot be made, or if these settings are wrong.
    """
    folder = Path(os.path.abspath(folder))
    path = folder / config.FILE_NAME
    made = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            with path.open("x", encoding="utf-8") as file:
                file.write(SETTINGS.read_text(encoding="utf-8"))
            made.append(path)
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot be made: {error.strerror}") from error
    settings = config.load(path)
    folders = (*settings.inboxes, settings.sorted, settings.state, settings.reports)
    missing = [each for each in folders if not each.exists()]
    prepare_folders(settings)
    return settings, [*made, *missing]
