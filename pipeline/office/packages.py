"""Say which optional package Excel files or the pages of reports need that is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from models.installation import install_command
from pipeline.settings.config import Settings
from pipeline.settings.sections import ReportSettings

Setting = Literal["format", "html"]

_NEEDED: dict[Setting, tuple[str, str]] = {"format": ("openpyxl", "excel"), "html": ("jinja2", "web")}


def missing_for_excel() -> str | None:
    """Return which package workbooks need, and how to install it; None if nothing is missing."""
    return _missing(*_NEEDED["format"])


def missing(report: ReportSettings, setting: Setting) -> str | None:
    """Return what to do so that the files of a setting can be written; None if nothing is missing."""
    wanted = report.html if setting == "html" else report.format == "excel"
    if not wanted or (problem := _missing(*_NEEDED[setting])) is None:
        return None
    files, value = (".html pages", "true") if setting == "html" else (".xlsx files", report.format)
    return (
        f"report.{setting}: {value}: the {files} cannot be written, because {problem}. The CSV files are "
        "written all the same"
    )


def notes(settings: Settings) -> list[str]:
    """Return text for each kind of file that the settings want and that cannot be written."""
    found = [missing(settings.report, "format"), missing(settings.report, "html")]
    return [text for text in found if text]


def _missing(module: str, extra: str) -> str | None:
    if find_spec(module) is not None:
        return None
    return f"{module} is not installed; run `{install_command(extra=extra)}`"
