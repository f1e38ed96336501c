"""Render the README of a bundle, which may come from an untrusted author, with markdown-it-py.

Raw HTML is shown as text, comments are dropped, images become their alternative text, and only links to
http(s) or relative addresses keep their address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

LONGEST = 100_000
"""Characters that are rendered; the rest is cut off."""

_SAFE_LINK = re.compile(r"https?://|[^:/?#\\]*(?:[/?#]|$)", re.IGNORECASE)


def render(text: str) -> Markup:
    """Return Markdown as markup, without its title: a first heading of level 1."""
    tokens = _parser.parse(text[:LONGEST])
    return Markup(_parser.renderer.render(list(_prepared(tokens)), _parser.options, {}).strip())  # noqa: S704 - see above


def _prepared(tokens: Sequence[Token]) -> Iterator[Token]:
    """Adapt tokens to the pages, which have a heading of level 1 and allow no inline styles."""
    shown = [token for token in tokens if token.type != "html_block" or _shown(token.content).strip()]
    has_title = bool(shown) and shown[0].tag == "h1"
    for token in _without_empty_heads(shown[3:] if has_title else shown):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(4, int(token.tag[1]) + 1)}"
        if token.attrs.pop("style", "") == "text-align:right":
            token.attrs["class"] = "number"
        if token.children:
            token.children = list(_without_unsafe_links(token.children))
        yield token


def _without_empty_heads(tokens: Sequence[Token]) -> Iterator[Token]:
    """Leave out the head of a table in which every cell is empty."""
    place = 0
    while place < len(tokens):
        if tokens[place].type == "thead_open":
            end = next(n for n in range(place, len(tokens)) if tokens[n].type == "thead_close")
            if not any(token.content for token in tokens[place:end]):
                place = end + 1
        yield tokens[place]
        place += 1


def _without_unsafe_links(tokens: Sequence[Token]) -> Iterator[Token]:
    is_unsafe = False
    for token in tokens:
        if token.type == "link_open":
            is_unsafe = not _SAFE_LINK.match(str(token.attrs["href"]))
            token.attrs["rel"] = "noreferrer"
        if not (is_unsafe and token.type in ("link_open", "link_close")):
            yield token


def _shown(html: str) -> str:
    """Return raw HTML without its comments, in linear time also where none of them ends."""
    before, *comments = html.split("<!--")
    return before + "".join(comment.partition("-->")[2] for comment in comments)


def _raw_block(tokens: Sequence[Token], place: int, *_: object) -> Markup:
    return Markup("<p>{}</p>\n").format(_shown(tokens[place].content).strip())


def _raw_inline(tokens: Sequence[Token], place: int, *_: object) -> Markup:
    return escape(_shown(tokens[place].content))


def _alternative_text(tokens: Sequence[Token], place: int, *_: object) -> Markup:
    return escape(tokens[place].content)


def _code_block(tokens: Sequence[Token], place: int, *_: object) -> Markup:
    return Markup('<pre tabindex="0">{}</pre>\n').format(tokens[place].content.rstrip("\n"))


def _made() -> MarkdownIt:
    # HTML is parsed as HTML, so that its comments can be told from the rest; the rules below show it as text.
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.validateLink = lambda url: True  # type: ignore[method-assign] # checked below
    parser.renderer.rules |= {  # type: ignore[attr-defined]
        "html_block": _raw_block,
        "html_inline": _raw_inline,
        "image": _alternative_text,
        "code_block": _code_block,
        "fence": _code_block,
        "table_open": lambda *_: '<div class="scroll" tabindex="0"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
    }
    return parser


_parser = _made()
