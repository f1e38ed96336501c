"""Everything is documented, and every link, picture and path leads somewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from db.schema.results_view import results
from db.schema.tables import IMPORTED, State, files, moves, reports, spot_checks
from db.schema.worker_tables import backfill_loads, requests, workers
from models import plain_yaml
from pipeline.classifier.client import LossReason
from pipeline.decision import Doubt
from pipeline.doctor.problem import Kind
from pipeline.errors import OK, SOME_FAILED, PawsortError
from pipeline.reports.summary import COLUMNS
from pipeline.settings.config import Settings
from pipeline.settings.sections import Event
from scripts import write_command_docs
from tests.docs.pages import COMMANDS, DOCS, ROOT, names_in_first_cells, read, rows_of_tables, section

REFUSALS = (
    "empty", "too_large", "too_many_pixels", "too_many_frames", "not_an_image", "unsupported", "truncated",
    "corrupt", "unreadable",
)  # fmt: skip


# --- everything is documented ---------------------------------------------------------------------------


def test_the_reference_of_commands_is_what_they_say_of_themselves() -> None:
    stale = "run `python -m scripts.write_command_docs`"
    assert read("docs/commands.md") == write_command_docs.text(), stale


def test_every_option_is_in_the_reference_of_commands() -> None:
    reference = read("docs/commands.md")
    for name, context in COMMANDS.items():
        own = reference.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
        for parameter in context.command.params:
            assert all(option in own for option in parameter.opts if option.startswith("-")), (
                name,
                parameter,
            )


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if not getattr(c.command, "commands", None)])
def test_every_command_is_in_the_reference_with_a_line_in_the_list_above(name: str) -> None:
    reference = read("docs/commands.md")
    assert f"\n## {name}\n" in reference
    group, _, own = name.rpartition(" ")
    assert not group or re.search(rf"^  {own} +\w", section("docs/commands.md", group), re.MULTILINE)


def test_the_readme_stays_short() -> None:
    assert len(read("README.md").splitlines()) <= 150


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_every_page_for_users_is_linked_from_the_readme(page: str) -> None:
    assert f"(docs/{page}" in read("README.md")


def test_every_exit_code_is_in_the_reference() -> None:
    codes = {OK, SOME_FAILED, PawsortError.exit_code, 129, 130, 143}
    codes |= {error.exit_code for error in PawsortError.__subclasses__()}
    page = section("docs/commands.md", "Exit codes")
    assert {int(code) for row in rows_of_tables(page) for code in re.findall(r"\b\d+\b", row[0])} == codes


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


OLDER_NAMES = {"duplicates"}
"""Settings that have a newer name."""


@pytest.mark.parametrize(("name", "default"), [each for each in settings_of() if each[0] not in OLDER_NAMES])
def test_every_setting_is_in_the_shipped_file_with_its_default_and_a_reason(name: str, default: Any) -> None:
    shipped = read("config.yaml")
    value = lookup(plain_yaml.load(shipped), name)
    plain = [str(item) for item in default] if isinstance(default, tuple) else default
    assert value == (str(plain) if isinstance(plain, Path) else plain)
    line = re.search(rf"^ *{name.split('.')[-1]}: .*# \w", shipped, re.MULTILINE)
    assert line, f"config.yaml does not say what {name} is for"


def test_the_settings_in_the_table_are_there_and_have_these_defaults() -> None:
    defaults = plain_yaml.load(read("config.yaml"))
    rows = rows_of_tables(read("docs/settings.md"))[2:]
    assert rows
    for setting, default, *_ in rows:
        assert lookup(defaults, setting.strip("`")) == yaml.safe_load(default.strip("`")), setting


def test_every_event_of_alerts_is_explained() -> None:
    assert names_in_first_cells(section("docs/operating.md", "Alerts")) == set(get_args(Event))


def test_every_column_of_results_is_explained() -> None:
    page = section("docs/database.md", "The view `results`").split("### States")[0]
    assert names_in_first_cells(page) == {column.name for column in results.c}


@pytest.mark.parametrize("table", [files, moves, spot_checks, reports, workers, requests, backfill_loads])
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


def test_the_glossary_explains_the_words_that_are_special_here_in_order() -> None:
    words = [row[0] for row in rows_of_tables(read("docs/glossary.md"))[2:]]
    assert words == sorted(words, key=str.casefold)
    special = {
        "answer key", "bundle", "claim", "correction", "duplicate", "inbox", "ledger", "neither", "outcome",
        "promise", "reason", "removed", "spool", "superseded", "undone", "vanished",
    }  # fmt: skip
    assert special <= set(words)
    assert "docs/glossary.md" in read("README.md") and "docs/glossary.md" in read("CONTRIBUTING.md")


def test_every_kind_of_problem_that_doctor_finds_is_explained() -> None:
    found = section("docs/troubleshooting.md", "What doctor finds").split("`pawsort doctor --repair`")[0]
    assert names_in_first_cells(found) == set(get_args(Kind))


def messages() -> list[str]:
    """What the troubleshooting page quotes from screen and log."""
    rows = rows_of_tables(section("docs/troubleshooting.md", "What you see"))[2:]
    quoted = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row[0])]
    quoted += re.findall(
        r"^- (?:\*\*|[\w ,-]+, or )?`([^`\n]+)`", read("docs/troubleshooting.md"), re.MULTILINE
    )
    commands = ("run ", "failed/", "uncertain/", "doctor", "undo")
    return [quote for quote in quoted if not quote.startswith(commands)]


@pytest.mark.parametrize("message", messages())
def test_every_message_on_the_troubleshooting_page_is_one_that_the_code_gives(message: str) -> None:
    said = "".join(
        re.sub(r'"\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for room in ("pipeline", "models", "db")
        for path in (ROOT / room).rglob("*.py")
    )
    for part in filter(None, re.split(r" *\.\.\.[,);]? *", message)):
        written = re.sub(r"^cannot (take|read|file|list)$", "cannot %s", part)
        assert written in said, f"docs/troubleshooting.md quotes {message!r}; no code says {part!r}"


# --- the way of a photo ----------------------------------------------------------------------------------

WAY = "docs/dev/architecture.md"
MOST_STEPS = 15


def steps() -> str:
    return read(WAY).split("<!-- begin steps -->", 1)[1].split("<!-- end steps -->", 1)[0]


def defined(path: Path) -> set[str]:
    """The functions and classes of a module, and the methods of these as `Class.method`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in tree.body if isinstance(node, kinds)}
    for owner in tree.body:
        if isinstance(owner, ast.ClassDef):
            names |= {f"{owner.name}.{node.name}" for node in owner.body if isinstance(node, kinds)}
    return names


def test_the_path_of_a_photo_has_few_steps() -> None:
    numbered = re.findall(r"^(\d+)\. .*?(?=^\d+\. |\Z)", steps(), re.MULTILINE | re.DOTALL)
    assert numbered == [str(number) for number in range(1, len(numbered) + 1)]
    assert 5 < len(numbered) <= MOST_STEPS
    told = re.split(r"^\d+\. ", steps(), flags=re.MULTILINE)[1:]
    assert all("](../../" in step for step in told), "each step names a function"


@pytest.mark.parametrize(("name", "link"), re.findall(r"\[`([\w.]+)`\]\((\S+?)\)", steps()))
def test_each_function_on_the_way_of_a_photo_is_where_the_page_says(name: str, link: str) -> None:
    """A name that moved or was renamed: correct it in the list of steps in docs/dev/architecture.md."""
    path = ((ROOT / WAY).parent / link).resolve()
    assert path.is_file(), f"{WAY}: {name}: {link} is not there"
    assert name in defined(path), f"{WAY}: {link} has no {name}"


# --- the change log -------------------------------------------------------------------------------------


def test_the_newest_release_in_the_change_log_is_the_version_of_the_package() -> None:
    dated = r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d|unreleased)$"
    releases, days = zip(*re.findall(dated, read("CHANGELOG.md"), re.MULTILINE), strict=True)
    assert "unreleased" not in days[1:]
    assert tomllib.loads(read("pyproject.toml"))["project"]["version"] == releases[0]
    assert [*releases] == sorted(releases, key=lambda name: [*map(int, name.split("."))], reverse=True)


# --- links, pictures, paths ------------------------------------------------------------------------------


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


def test_every_picture_is_shown_somewhere() -> None:
    shown = {
        link.rpartition("/")[2] for name in DOCS for link in re.findall(r"!\[[^\]]+\]\((\S+)\)", read(name))
    }
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} <= shown


@pytest.mark.parametrize("name", [name for name in DOCS if name != "CHANGELOG.md"])
def test_every_path_of_code_that_a_page_names_exists(name: str) -> None:
    rooms = "pipeline|models|db|tests|scripts|benchmarks|deploy"
    named = set(re.findall(rf"`((?:{rooms})/[\w/.-]*(?:\.py|\.j2|/))`", read(name)))
    assert {path for path in named if not (ROOT / path).exists()} == set()
