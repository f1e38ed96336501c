"""The pages of the documentation, taken apart for the tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scripts import write_command_docs

ROOT = Path(__file__).parents[2]
DOCS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md", *sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/README.md")]
))  # fmt: skip
COMMANDS = dict(write_command_docs.commands())
"""The context of each command, groups included, by its full name."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


class Block(NamedTuple):
    """One fenced block; shown by pytest as `README.md:12`."""

    place: str
    language: str
    text: str


def blocks(*languages: str) -> list[Any]:
    found = []
    for name in DOCS:
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", read(name), re.MULTILINE | re.DOTALL):
            line = read(name).count("\n", 0, match.start()) + 1
            if match[1] in languages:
                found.append(pytest.param(Block(f"{name}:{line}", match[1], match[2]), id=f"{name}:{line}"))
    return found


def rows_of_tables(text: str) -> list[list[str]]:
    """The cells of each row of each table."""
    rows = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows]


def names_in_first_cells(text: str) -> set[str]:
    return {name for row in rows_of_tables(text) for name in re.findall(r"`([^`]+)`", row[0])}


def section(name: str, heading: str) -> str:
    text = read(name).split(f"\n## {heading}\n", 1)[1]
    return text.split("\n## ", 1)[0]
