"""Code, pages and docs use plain words: standard terms, and sentences that say who does what.

`BANNED` lists words that hid what sentences say.
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

    The names of tests do not count, nor does the name of the system user in quotes.
    """
    lines = (re.sub(r"\btest_\w+|\"nobody\"", "", line) for line in text.splitlines())
    return [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if _WORDS.search(line)]


def test_no_file_uses_a_banned_word() -> None:
    names = list(_files())
    assert len(names) > 400
    wrong = [f"{name}:{line}" for name in names for line in found((ROOT / name).read_text(encoding="utf-8"))]
    assert wrong == [], "write who does what, in standard terms"


@pytest.mark.parametrize("word", BANNED)
def test_each_banned_word_is_found(word: str) -> None:
    assert found(f"plain\nthe worker {word.upper()}, then ends") == [
        f"2: the worker {word.upper()}, then ends"
    ]


@pytest.mark.parametrize("text", ["amend the commit", "a recommended setting", "a shallow copy", "is told_"])
def test_parts_of_other_words_are_allowed(text: str) -> None:
    assert found(text) == []
