"""An installation whose settings add files for an office to its reports, and a day of photos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from pipeline.office.messages import OfficeSettings
from pipeline.reports.daily import Reporter
from pipeline.settings import config
from tests.support.installation import QUICK, Installation
from tests.support.pictures import encode, scene

DAY = date(2026, 11, 21)
NIGHT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)
"""00:10 of the next day in Berlin."""

REPORT = "report: {timezone: Europe/Berlin, format: standard, separator: semicolon, html: true}\n"

HOSTILE = [
    b"007", b"=1+1", b"NA", b"null", b"nan", b"#REF!", b"'=x", b"a;=b", b"_x0041_", b"new\nline", b"1e5",
    "Kätzchen \N{CAT FACE}.jpg".encode(), "\ufffe.jpg".encode(), b"\xff.jpg", b" space ",
    b"<img src=x onerror=alert(1)>.jpg", b"true", b'"quoted",;.jpg',
]  # fmt: skip
"""Names that a spreadsheet, pandas or a browser may take for something else."""

SHOWN = [
    "007", "=1+1", "NA", "null", "nan", "#REF!", "'=x", "a;=b", "_x0041_", r"new\x0aline", "1e5",
    "Kätzchen \N{CAT FACE}.jpg", "\ufffe.jpg", r"\xff.jpg", " space ", "<img src=x onerror=alert(1)>.jpg",
    "true", '"quoted",;.jpg',
]  # fmt: skip
"""The same as texts."""


@pytest.fixture(scope="session")
def office_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the CSV files of DAY: hostile names in uncertain/, the first as a photo, and failures."""
    pawsort = Installation(tmp_path_factory.mktemp("office"), QUICK + REPORT)
    for number, name in enumerate(HOSTILE):
        content = encode(scene(400, 300), "PNG") if number == 0 else b"no photo %d" % number
        scores = {"cat": 0.5 + number / 100, "dog": 0.1, "neither": 0.4 - number / 100}
        sure = scores["cat"]
        pawsort.file(name, content, "uncertain", scores=scores, confidence=sure, reason="low_confidence")
    pawsort.file(b"notes.txt", b"buy milk", "failed", prediction=None, confidence=None, reason="not_an_image")
    pawsort.file(b"tom.jpg", taken_at="2026-11-20T08:30:00+01:00")
    settings = pawsort.settings
    outcomes = ("cats", "dogs", "uncertain", "failed")
    Reporter(
        pawsort.engine, settings.reports, settings.report.zone, time(0, 10), outcomes, settings.state
    ).write_day(DAY, NIGHT)
    pawsort.close()
    return pawsort.folder


@pytest.fixture
def office(office_site: Path, tmp_path: Path) -> Iterator[Installation]:
    """A copy of it without its photos, which stay where they are."""
    shutil.copytree(office_site / "reports", tmp_path / "site" / "reports")
    shutil.copytree(office_site / "state", tmp_path / "site" / "state")
    text = (office_site / "config.yaml").read_text()
    pawsort = Installation(tmp_path / "site", f"{text}sorted: {office_site / 'sorted'}\n")
    yield pawsort
    pawsort.close()


def settings_of(pawsort: Installation, format: str, separator: str = "semicolon") -> OfficeSettings:
    """Return what the office process gets, for another format."""
    text = pawsort.config.read_text().replace("standard", format).replace("semicolon", separator)
    pawsort.config.write_text(text)
    pawsort.settings = config.load(pawsort.config)
    return OfficeSettings.of(pawsort.settings)
