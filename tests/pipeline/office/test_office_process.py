from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from models.installation import install_command
from pipeline.office import packages
from pipeline.office.office_process import office as opened
from pipeline.office.office_process import office_of
from pipeline.reports.daily import OfficeRequest
from pipeline.service.service import reporter
from tests.pipeline.office.conftest import DAY, NIGHT, settings_of
from tests.support import office_children
from tests.support.installation import Installation
from tests.support.stub_classifier import BUNDLE

REQUEST = OfficeRequest(str(DAY), NIGHT, is_latest=True)


def test_a_report_has_its_workbook_and_page_made_by_processes_of_their_own(office: Installation) -> None:
    settings_of(office, "excel")
    report = reporter(office.settings, office.engine, BUNDLE).write_day(DAY, NIGHT)
    names = [path.name for path in report.paths]
    assert names[3:] == [f"report-{DAY}.xlsx", f"report-{DAY}.html"]
    page = report.paths[-1].read_text(encoding="utf-8")
    assert page.count("<img ") == 1 and page.count("no picture") == 17, "one of them is a photo"
    assert {path.stat().st_mode & 0o777 for path in report.paths[3:]} == {0o600}, "as `permissions` says"


def test_a_photo_that_kills_the_decoder_lacks_its_picture_alone(
    office: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    settings_of(office, "standard")
    children = office_children.naming_its_pictures, office_children.drawing
    with opened(office.settings, *children) as write:
        assert [path.name for path in write(REQUEST, lambda: None)] == ["1 3"]
    assert "no picture of file 2: decoder_crashed" in caplog.text


def test_an_office_process_that_dies_leaves_the_csv_files_alone_and_the_day_written(
    office: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    settings_of(office, "excel")
    before = {path.name: path.read_bytes() for path in office.settings.reports.iterdir()}
    with opened(office.settings, office_children.dying) as write:
        assert write(REQUEST, lambda: None) == ()
    assert {path.name: path.read_bytes() for path in office.settings.reports.iterdir()} == before
    assert "files for an office are missing: decoder_crashed: killed by SIGKILL" in caplog.text


def test_a_full_disk_for_the_office_leaves_the_day_due(office: Installation) -> None:
    settings_of(office, "excel")
    full = partial(opened, office.settings, office_children.on_a_full_disk)
    writer = replace(reporter(office.settings, office.engine, BUNDLE), office=full)
    later = NIGHT + timedelta(days=1)
    assert writer.due_days(later) == [DAY + timedelta(days=1)]
    with pytest.raises(OSError, match="2026-11-22: No space left on device"):
        writer.write_due(later)
    assert writer.due_days(later) == [DAY + timedelta(days=1)]


def test_a_worker_that_stops_waits_for_no_office_process(office: Installation) -> None:
    settings_of(office, "excel")
    calls = iter(range(1000))

    def check() -> None:
        if next(calls) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), opened(office.settings, office_children.hanging) as write:
        write(REQUEST, check)


@pytest.mark.parametrize(
    ("format", "module", "setting"), [("excel", "openpyxl", "format"), ("standard", "jinja2", "html")]
)
def test_a_missing_package_is_said_with_the_command_that_installs_it(
    office: Installation, monkeypatch: pytest.MonkeyPatch, format: str, module: str, setting: str
) -> None:
    settings_of(office, format)
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == module else object())
    [note] = packages.notes(office.settings)
    extra = {"openpyxl": "excel", "jinja2": "web"}[module]
    assert f"report.{setting}: " in note and f"`{install_command(extra=extra)}`" in note
    is_left = office_of(office.settings) is not None
    assert is_left == (module == "openpyxl"), "the page needs no openpyxl"


def test_without_the_settings_no_process_is_started(pawsort: Installation) -> None:
    assert reporter(pawsort.settings, pawsort.engine, BUNDLE).office is None
