"""Add one keyword to an XMP sidecar and take it out again, without changing another byte. Pure.

The keyword stands in the lists that programs show: `dc:subject` always, those of Lightroom and digiKam where
the sidecar has them. Two properties in a namespace of Pawsort say which word is Pawsort's and in which lists,
so that a word of a person is never taken out; other programs keep properties that they do not know. Own code,
because XML libraries write a document anew and so change what others wrote.

Source: XMP part 1 (ISO 16684-1), chapter 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from pipeline.keywords.elements import Element, UnusableSidecarError, parsed

OWN = "tag:pawsort,2026:xmp/"
"""Namespace of the properties that say what Pawsort wrote; a name, not an address."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_SUBJECT = f"{_DC} subject"
_LISTS = {
    _SUBJECT: "subject",
    "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject": "hierarchicalSubject",
    "http://www.digikam.org/ns/1.0/ TagsList": "TagsList",
}
_MADE = "made"
"""Stands beside the names of lists if Pawsort made the list `dc:subject`."""

_KEYWORD, _IN = f"{OWN} keyword", f"{OWN} in"
_ABOUT = f"{_RDF} about"

_NEW = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Pawsort">
 <rdf:RDF xmlns:rdf="{_RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()

_WAS_EMPTY = b" >"
"""How the end tag of a list ends that was an empty tag before; the blank means nothing in XML."""

Edit = tuple[int, int, bytes]
"""Bytes from a start to an end, and those that replace them."""


def with_keyword(data: bytes | None, keyword: str) -> bytes:
    """Return a sidecar with a keyword, in place of an earlier one of Pawsort; `data` is None for a new one.

    A keyword that it has already, from a person or a program, is left to them. Raises UnusableSidecarError.
    """
    kept = None if data is None else without_keyword(data)
    before = _NEW if kept is None else kept
    root = parsed(before)
    lists = _lists(root)
    if keyword in _words(lists.get(_SUBJECT, ())):
        return before
    lacking = {name: each for name, each in lists.items() if keyword not in _words(each)}
    edits = [_insertion(before, _container(each[0]), keyword) for each in lacking.values()]
    names = [_LISTS[name] for name in {_SUBJECT: None, **lacking}]
    edits.append(_description(root, keyword, names, new_list=_SUBJECT not in lists))
    after = _edited(before, edits)
    return _checked(after, keyword, keyword in _words(_lists(parsed(after)).get(_SUBJECT, ())))


def without_keyword(data: bytes) -> bytes | None:
    """Return a sidecar without the keyword of Pawsort; None if Pawsort made it and nothing else is in it.

    Raises UnusableSidecarError.
    """
    root = parsed(data)
    keyword, names = _own(root)
    if keyword is None:
        return data
    after = _edited(data, [*_cuts(data, root, keyword, names)])
    _checked(after, None, True)
    return None if after == _NEW else after


def keyword_in(data: bytes) -> str | None:
    """Return the keyword of Pawsort in a sidecar, None if there is none. Raises UnusableSidecarError."""
    return _own(parsed(data))[0]


def _checked(data: bytes, keyword: str | None, shown: bool) -> bytes:
    if keyword_in(data) != keyword or not shown:
        raise UnusableSidecarError("its keywords are written in a way that Pawsort does not know")
    return data


def _edited(data: bytes, edits: list[Edit]) -> bytes:
    for start, end, text in sorted(edits, reverse=True):
        data = data[:start] + text + data[end:]
    return data


def _rdf(root: Element) -> Element:
    for each in (root, *root.children):
        if each.name == f"{_RDF} RDF":
            return each
    raise UnusableSidecarError("it has no rdf:RDF, as XMP has")


def _descriptions(root: Element) -> Iterator[Element]:
    return (each for each in _rdf(root).children if each.name == f"{_RDF} Description")


def _lists(root: Element) -> dict[str, tuple[Element, ...]]:
    """Return the lists of keywords by their name, each as its property; one that is there twice has two."""
    found: dict[str, tuple[Element, ...]] = {}
    for description in _descriptions(root):
        for each in description.children:
            if each.name in _LISTS:
                found[each.name] = (*found.get(each.name, ()), each)
    return found


def _container(of_list: Element) -> Element:
    """Return the rdf:Bag or rdf:Seq of a list of keywords."""
    if len(of_list.children) != 1 or not of_list.children[0].name.startswith(f"{_RDF} "):
        raise UnusableSidecarError("its keywords are written in a way that Pawsort does not know")
    return of_list.children[0]


def _words(lists: tuple[Element, ...]) -> set[str]:
    return {item.text.strip() for each in lists for item in _container(each).children}


def _own(root: Element) -> tuple[str | None, frozenset[str]]:
    """Return the keyword of Pawsort and the names of the lists that it was added to."""
    said: dict[str, str] = {}
    for each in _descriptions(root):
        said |= {name: each.attributes[name] for name in (_KEYWORD, _IN) if name in each.attributes}
        said |= {child.name: child.text.strip() for child in each.children if child.name in (_KEYWORD, _IN)}
    return said.get(_KEYWORD), frozenset(said.get(_IN, "subject").split())


def _insertion(data: bytes, container: Element, keyword: str) -> Edit:
    tag = re.match(rb"<([^\s/>]+)", data[container.start :])
    assert tag is not None
    name = tag[1].decode()
    prefix = name[: name.rfind(":") + 1]
    item = f"<{prefix}li>{escape(keyword)}</{prefix}li>".encode()
    if container.content < container.end:
        return container.content_end, container.content_end, item
    slash = data.rindex(b"/", container.start, container.end)  # <rdf:Bag/>, as exiv2 leaves it
    return slash, container.end, b">" + item + f"</{name}".encode() + _WAS_EMPTY


def _description(root: Element, keyword: str, names: list[str], *, new_list: bool) -> Edit:
    """Insert the description that says what is Pawsort's, with a list of keywords if the sidecar has none."""
    rdf = _rdf(root)
    if rdf.content == rdf.end:
        raise UnusableSidecarError("its rdf:RDF is empty")
    abouts = {each.attributes.get(_ABOUT, "") for each in _descriptions(root)}
    about = quoteattr(next(iter(abouts), ""))  # all descriptions of a sidecar must have the same
    subject = f"<dc:subject><rdf:Bag><rdf:li>{escape(keyword)}</rdf:li></rdf:Bag></dc:subject>"
    of_dc, made = (f' xmlns:dc="{_DC}"', f" {_MADE}") if new_list else ("", "")
    text = (
        f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about={about}{of_dc} xmlns:pawsort="{OWN}"'
        f' pawsort:keyword={quoteattr(keyword)} pawsort:in="{" ".join(names)}{made}">'
        f"{subject if new_list else ''}</rdf:Description>"
    )
    return rdf.content_end, rdf.content_end, text.encode()


def _cuts(data: bytes, root: Element, keyword: str, names: frozenset[str]) -> Iterator[Edit]:
    """Yield what to cut out: what Pawsort wrote in a description, or all of it if nothing else is in it."""
    for each in _descriptions(root):
        cuts, left = [*_cut_attributes(data, each)], False
        for child in each.children:
            of_child = _cut_child(data, child, keyword, names)
            cuts += of_child
            left = left or [edit[:2] for edit in of_child] != [(child.start, child.end)]
        others = each.attributes.keys() - {_ABOUT, _KEYWORD, _IN}
        yield from [(each.start, each.end, b"")] if cuts and not left and not others else cuts


def _cut_child(data: bytes, child: Element, keyword: str, names: frozenset[str]) -> list[Edit]:
    """Return what to cut out of a property: a list that Pawsort made goes as a whole if it has no other word.

    One that was empty before stays, as it was.
    """
    if child.name in (_KEYWORD, _IN):
        return [(child.start, child.end, b"")]
    if _LISTS.get(child.name) not in names:
        return []
    container = _container(child)
    ours = [each for each in container.children if each.text.strip() == keyword]
    if ours and len(ours) == len(container.children):
        if data.endswith(_WAS_EMPTY, 0, container.end):
            return [(container.content - 1, container.end, b"/>")]
        if _MADE in names and child.name == _SUBJECT:
            return [(child.start, child.end, b"")]
    return [(each.start, each.end, b"") for each in ours]


def _cut_attributes(data: bytes, element: Element) -> Iterator[Edit]:
    """Yield where the attributes of Pawsort stand in a start tag, with the blanks before them."""
    if element.attributes.keys().isdisjoint((_KEYWORD, _IN)):
        return
    tag = data[element.start : element.content]
    for prefix in set(re.findall(rb"xmlns:([^\s=]+)\s*=\s*[\"']" + re.escape(OWN.encode()), data)):
        own = rb"\s+" + re.escape(prefix) + rb":(?:keyword|in)\s*=\s*(?:\"[^\"]*\"|'[^']*')"
        for found in re.finditer(own, tag):
            yield element.start + found.start(), element.start + found.end(), b""
