"""Text as a cell of a CSV file that a spreadsheet may open; for reports and for `query`."""

from __future__ import annotations

import re

from pipeline.control_characters import CONTROL

_DANGEROUS = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')


def visible(text: str) -> str:
    r"""Write each byte of a control character as `\xNN`, as `file_names` does with bytes that are no text."""
    return CONTROL.sub(_bytes, text)


def _bytes(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass"))


def neutral(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula.

    That is one beginning with `=`, `+`, `-`, `@`, one of these in full width (U+FF1D ...), which Japanese and
    Chinese spreadsheets read as them, tab, return or line feed. A text that already has
    apostrophes before one of these gets another, so that taking one off such a cell gives the text back.
    """
    return "'" + text if _DANGEROUS.match(text) else text


def quoted(text: str) -> str:
    """Put `text` in quotes where it would end its cell or its record."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
