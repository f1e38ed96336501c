"""Code, pages and docs use plain words: standard terms, and sentences that say who does what.

`BANNED` lists words that hid what sentences say. Packages are added to `DONE` once their words are plain.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BANNED = (
    "nobody", "somebody", "anybody", "whoever", "shall", "foresaw", "mend", "mends", "mended", "mending",
    "kennel", "oddities", "obituary", "of ours", "is told", "are told", "last words", "comes by itself",
    "no waiting cures", "tell whether", "say whether", "be had",
)  # fmt: skip

DONE = (
    "config.yaml", "db/connection", "db/queries", "db/schema/columns.py", "db/schema/file_names.py",
    "db/schema/tables.py", "docs/commands.md", "pipeline/cli", "pipeline/config.py",
    "pipeline/control_characters.py", "pipeline/corrections", "pipeline/decision.py", "pipeline/doctor",
    "pipeline/entry.py", "pipeline/errors.py", "pipeline/files", "pipeline/folder_layout.py",
    "pipeline/import_path.py", "pipeline/logs.py",
    "pipeline/permissions.py", "pipeline/ranges.py", "pipeline/reports", "pipeline/version.py",
    "pipeline/watch", "run_worker.py", "scripts", "tests/db/connection", "tests/db/queries",
    "tests/pipeline/cli", "tests/pipeline/corrections", "tests/pipeline/doctor", "tests/pipeline/files",
    "tests/pipeline/reports", "tests/pipeline/watch", "tests/scripts",
)  # fmt: skip
"""Files and folders that are checked; the aim is the whole repository."""

NEVER = re.compile(
    r"CHANGELOG\.md|LICENSE|.*/vendor/.*|models/[a-z0-9_]+/README\.md|tests/test_plain_words\.py"
)
"""Files that keep older or others' words: history, licences, vendored files, cards of trained models."""

_KINDS = (".py", ".md", ".html", ".js", ".yaml")
_WORDS = re.compile(rf"\b({'|'.join(map(re.escape, BANNED))})\b", re.IGNORECASE)


def _files() -> Iterator[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if name.endswith(_KINDS) and not NEVER.fullmatch(name) and (ROOT / name).is_file():
            yield name


def found(text: str) -> list[str]:
    """Return the lines of a text that have a banned word, each with its number.

    The names of tests do not count, nor does a quotation of such a name.
    """
    lines = (re.sub(r"\btest_\w+", "", line) for line in text.splitlines())
    return [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if _WORDS.search(line)]


def _is_done(name: str) -> bool:
    return any(name == done or name.startswith(f"{done}/") for done in DONE)


def test_what_is_done_uses_no_banned_word() -> None:
    names = [name for name in _files() if _is_done(name)]
    assert len(names) > 60
    wrong = [f"{name}:{line}" for name in names for line in found((ROOT / name).read_text(encoding="utf-8"))]
    assert wrong == [], "write who does what, in standard terms"


def test_each_entry_of_the_list_is_there() -> None:
    assert [name for name in DONE if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("word", BANNED)
def test_each_banned_word_is_found(word: str) -> None:
    assert found(f"plain\nthe worker {word.upper()}, then ends") == [
        f"2: the worker {word.upper()}, then ends"
    ]


@pytest.mark.parametrize("text", ["amend the commit", "a recommended setting", "a shallow copy", "is told_"])
def test_parts_of_other_words_are_allowed(text: str) -> None:
    assert found(text) == []
