"""What there is stands in the documentation, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from db.schema.tables import IMPORTED, State, files, moves, reports, results
from pipeline.classifier.client import LossReason
from pipeline.config import Settings
from pipeline.decision import Doubt
from pipeline.doctor.problem import Kind
from pipeline.errors import OK, SOME_FAILED, PawsortError
from pipeline.reports.summary import COLUMNS
from scripts import write_command_docs
from tests.docs.pages import COMMANDS, DOCS, ROOT, names_in_first_cells, read, rows_of_tables, section

REFUSALS = (
    "empty", "too_large", "too_many_pixels", "too_many_frames", "not_an_image", "unsupported", "truncated",
    "corrupt", "unreadable",
)  # fmt: skip


# --- what there is stands in the documentation ----------------------------------------------------------


def test_the_reference_of_commands_is_what_they_say_of_themselves() -> None:
    stale = "run `python -m scripts.write_command_docs`"
    assert read("docs/commands.md") == write_command_docs.text(), stale


def test_every_option_stands_in_the_reference_of_commands() -> None:
    reference = read("docs/commands.md")
    for name, context in COMMANDS.items():
        own = reference.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
        for parameter in context.command.params:
            assert all(option in own for option in parameter.opts if option.startswith("-")), (
                name,
                parameter,
            )


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if not getattr(c.command, "commands", None)])
def test_every_command_stands_in_the_table_of_the_readme(name: str) -> None:
    assert name in names_in_first_cells(section("README.md", "Commands"))


def test_every_exit_code_stands_in_the_readme_and_the_reference() -> None:
    codes = {OK, SOME_FAILED, PawsortError.exit_code, 129, 130, 143}
    codes |= {error.exit_code for error in PawsortError.__subclasses__()}
    for page in (section("README.md", "Commands"), section("docs/commands.md", "Exit codes")):
        shown = {int(code) for row in rows_of_tables(page) for code in re.findall(r"\b\d+\b", row[0])}
        assert shown == codes


def settings_of(model: type[BaseModel] = Settings, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its dotted name, with its default."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        if isinstance(field.default, BaseModel):
            yield from settings_of(type(field.default), f"{before}{name}.")
        else:
            yield f"{before}{name}", field.default


def lookup(values: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        values = values[key]
    return values


@pytest.mark.parametrize(("name", "default"), list(settings_of()))
def test_every_setting_stands_in_the_shipped_file_with_its_default_and_a_reason(
    name: str, default: Any
) -> None:
    shipped = read("config.yaml")
    value = lookup(yaml.safe_load(shipped), name)
    plain = [str(item) for item in default] if isinstance(default, tuple) else default
    assert value == (str(plain) if isinstance(plain, Path) else plain)
    line = re.search(rf"^ *{name.split('.')[-1]}: .*# \w", shipped, re.MULTILINE)
    assert line, f"config.yaml does not say what {name} is for"


def test_the_settings_in_the_readme_are_there_and_have_these_defaults() -> None:
    defaults = yaml.safe_load(read("config.yaml"))
    for setting, default, *_ in rows_of_tables(section("README.md", "Settings"))[2:]:
        assert lookup(defaults, setting.strip("`")) == yaml.safe_load(default.strip("`")), setting


def test_every_column_of_results_is_explained() -> None:
    page = section("docs/database.md", "The view `results`").split("### States")[0]
    assert names_in_first_cells(page) == {column.name for column in results.c}


@pytest.mark.parametrize("table", [files, moves, reports])
def test_every_column_of_the_tables_is_explained(table: Any) -> None:
    page = read("docs/database.md")
    own = page.split(f"**`{table.name}`**", 1)[1].split("\n**`", 1)[0]
    explained = names_in_first_cells(own) | ({c.name for c in results.c} if table is files else set())
    assert {column.name for column in table.c} <= explained


def test_every_column_of_both_reports_is_explained() -> None:
    assert names_in_first_cells(section("docs/reports.md", "The summary")) == set(COLUMNS)
    images = re.findall(r"`(\w+)`", section("docs/reports.md", "The images"))
    assert images == ["schema_version", "results", *(column.name for column in results.c)]


def test_every_state_is_explained() -> None:
    states = read("docs/database.md").split("### States\n", 1)[1].split("\n## ", 1)[0]
    assert names_in_first_cells(states) == set(get_args(State))


def test_every_reason_is_explained() -> None:
    reasons = {*get_args(Doubt), *get_args(LossReason), *REFUSALS, IMPORTED}
    assert names_in_first_cells(section("docs/troubleshooting.md", "Reasons")) == reasons


def test_every_reason_that_a_file_is_refused_for_is_known_here() -> None:
    """REFUSALS has no single source in the code, so look for words used as one."""
    used: set[str] = set()
    for path in [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("models/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'UnreadableImage\(\s*"(\w+)"', text))
        used |= set(re.findall(r'_refused\(\w+, "(\w+)"', text))
    assert used == set(REFUSALS)


def test_every_kind_of_problem_that_doctor_finds_is_explained() -> None:
    found = section("docs/troubleshooting.md", "What doctor finds").split("`pawsort doctor --repair`")[0]
    assert names_in_first_cells(found) == set(get_args(Kind))


# --- links ----------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCS)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link} is not there"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), (
                f"{name}: {link} has no such heading"
            )
