"""A small part of Markdown as markup, for the README of a bundle, which anybody may have written.

Headings, paragraphs, lists, tables and code; all text is escaped, links lose their address, HTML is text but
for its comments, which are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

LONGEST = 100_000
"""Characters that are read."""

_COMMENT = re.compile(r"^<!--.*?-->[ \t]*\n?", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"[-*] |\d{1,3}\. ")
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]*)\]\([^)]*\)")


def render(text: str) -> Markup:
    """Return `text` as markup; its first heading is left out, since the page has one."""
    text = _COMMENT.sub("", text[:LONGEST].replace("\r\n", "\n"))
    blocks = re.split(r"\n\s*\n", _fenced(text).strip("\n"))
    made = [_block(block.strip("\n")) for block in blocks if block.strip()]
    return Markup("\n").join(made[1:] if blocks and blocks[0].startswith("# ") else made)


def _fenced(text: str) -> str:
    """Turn fenced code into indented code, so that there is one kind; blank lines in it get a mark."""

    def _indent(match: re.Match[str]) -> str:
        return "\n".join(f"    {line}" for line in match[1].split("\n")) + "\n"

    return re.sub(r"^```\w*\n(.*?)^```$", _indent, text, flags=re.MULTILINE | re.DOTALL)


def _block(block: str) -> Markup:
    lines = block.split("\n")
    if all(line.startswith("    ") for line in lines):
        return Markup('<pre tabindex="0">{}</pre>').format("\n".join(line[4:] for line in lines))
    if heading := re.match(r"(#{1,4}) +(.*)", block):
        level = min(4, len(heading[1]) + 1)
        rest = "\n".join(lines[1:])
        made = Markup("<h{0}>{1}</h{0}>").format(level, inline(heading[2]))
        return made + _block(rest) if rest.strip() else made
    if len(lines) > 1 and re.fullmatch(r"[\s|:-]+", lines[1]) and "|" in lines[0]:
        return _table([line.strip().strip("|").split("|") for line in [lines[0], *lines[2:]]])
    if _ITEM.match(block):
        return Markup("<ul>{}</ul>").format(Markup("").join(_items(lines)))
    return Markup("<p>{}</p>").format(inline(block))


def _items(lines: Sequence[str]) -> Iterator[Markup]:
    item = ""
    for line in [*lines, "- "]:
        if _ITEM.match(line):
            if item:
                yield Markup("<li>{}</li>").format(inline(item))
            item = _ITEM.sub("", line, count=1)
        else:
            item += " " + line.strip()


def _table(rows: Sequence[Sequence[str]]) -> Markup:
    def row(cells: Sequence[str], frame: Markup) -> Markup:
        made = Markup("").join(frame.format(inline(cell.strip())) for cell in cells)
        return Markup("<tr>{}</tr>").format(made)

    body = Markup("").join(row(cells, Markup("<td>{}</td>")) for cells in rows[1:])
    is_named = any(cell.strip() for cell in rows[0])
    head = row(rows[0], Markup("<th>{}</th>")) if is_named else ""  # an empty heading says nothing
    table = Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(head, body)
    return Markup('<div class="scroll" tabindex="0">{}</div>').format(table)


def inline(text: str) -> Markup:
    """Return one line as markup: code, bold, and links without their address."""
    made, place = Markup(""), 0
    for match in _INLINE.finditer(text):
        made += escape(text[place : match.start()])
        code, bold, link = match.groups()
        if code:
            made += Markup("<code>{}</code>").format(code)
        else:
            made += Markup("<strong>{}</strong>").format(bold) if bold else escape(link or "")
        place = match.end()
    return made + escape(text[place:])
