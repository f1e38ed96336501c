"""Parse the XML of a sidecar into elements that know where they stand in its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

LARGEST = 16_000_000
"""Size in bytes of the largest sidecar that is read; with painted masks they have some megabytes."""

DEEPEST = 100

_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*+>")


class UnusableSidecarError(ValueError):
    """A sidecar that is left as it is; the message says why."""


@dataclass(eq=False)
class Element:
    """An element: `name` and the names of `attributes` are a namespace, a blank and the local name.

    It stands in the bytes from `start` to `end`, what is between its tags from `content` to `content_end`;
    the three last are equal in `<a/>`. `text` is the text directly in it.
    """

    name: str
    attributes: dict[str, str]
    start: int
    content: int
    content_end: int = 0
    end: int = 0
    text: str = ""
    children: list[Element] = field(default_factory=list)


def parsed(data: bytes) -> Element:
    """Return the root element of a sidecar. Raises UnusableSidecarError."""
    if len(data) > LARGEST:
        raise UnusableSidecarError(f"it has more than {LARGEST} bytes")
    if b"\0" in data:
        raise UnusableSidecarError("it is not XML in UTF-8")
    try:
        return _Builder(data).root()
    except expat.ExpatError as error:
        raise UnusableSidecarError(f"it is not XML in UTF-8: {error}") from error


class _Builder:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._top = Element("", {}, 0, 0)
        self._open = [self._top]
        parser: Any = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype  # entities may grow without limit; XMP has none
        parser.XmlDeclHandler = self._declaration
        self._parser = parser

    def root(self) -> Element:
        self._parser.Parse(self._data, True)
        [root] = self._top.children
        return root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        start = self._parser.CurrentByteIndex
        tag = _TAG.match(self._data, start)
        if tag is None or len(self._open) > DEEPEST:
            raise UnusableSidecarError("its elements are written in a way that Pawsort does not know")
        element = Element(name, attributes, start, tag.end())
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if self._data.endswith(b"/>", 0, element.content):
            element.content_end = element.end = element.content
        else:
            element.content_end = self._parser.CurrentByteIndex
            element.end = self._data.index(b">", element.content_end) + 1

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _doctype(self, *_: object) -> None:
        raise UnusableSidecarError("it has a DOCTYPE, as no sidecar has")

    def _declaration(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
            raise UnusableSidecarError(f"it is written in {encoding}; expected UTF-8")
