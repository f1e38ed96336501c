"""Text as a cell of a CSV file that a spreadsheet may open; for reports and for `query`."""

from __future__ import annotations

import re

_DANGEROUS = re.compile(r"'*[=+\-@\t\r\n]")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def neutral(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula.

    That is one beginning with `=`, `+`, `-`, `@`, tab, return or line feed. A text that already has
    apostrophes before one of these gets another, so that taking one off such a cell gives the text back.
    """
    return "'" + text if _DANGEROUS.match(text) else text


def quoted(text: str) -> str:
    """Put `text` in quotes where it would end its cell or its record."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
