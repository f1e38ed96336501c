"""One keyword in a sidecar, and out of it again, byte for byte."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keywords import packet
from pipeline.keywords.elements import LARGEST, UnusableSidecarError, parsed

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def of(properties: str, *, attributes: str = "", about: str = "") -> bytes:
    """A sidecar with these properties, as programs write it."""
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 5.6">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about="{about}" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"{attributes}>
   {properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()


def listed(name: str, *words: str, kind: str = "Bag") -> str:
    items = "".join(f"\n<rdf:li>{word}</rdf:li>" for word in words)
    return f"<{name}><rdf:{kind}>{items}\n</rdf:{kind}></{name}>"


LIGHTROOM = of(
    listed("dc:subject", "Bäumchen", "2026") + listed("lr:hierarchicalSubject", "Garden|Bäumchen", "2026"),
    attributes=' xmp:Rating="4"',
    about="uuid:1",
)
DIGIKAM = of(listed("digiKam:TagsList", "Places/Home", kind="Seq") + listed("dc:subject", "Home"))
RATED = of("", attributes=' xmp:Rating="4"')
DARKTABLE = of("<xmp:CreatorTool>darktable &amp; co &lt;4&gt;</xmp:CreatorTool>")


@pytest.mark.parametrize("before", [LIGHTROOM, DIGIKAM, RATED, DARKTABLE], ids=str.split("a b c d"))
@pytest.mark.parametrize("keyword", ["cat", 'dög & "co" <1>', "it's"])
def test_a_keyword_goes_in_and_comes_out_without_a_trace(before: bytes, keyword: str) -> None:
    after = packet.with_keyword(before, keyword)
    assert packet.keyword_in(after) == keyword
    assert after.count(b"xmp:Rating") == before.count(b"xmp:Rating")
    assert packet.without_keyword(after) == before


def test_a_new_sidecar_ends_with_its_keyword() -> None:
    made = packet.with_keyword(None, "cat")
    assert packet.keyword_in(made) == "cat"
    assert packet.without_keyword(made) is None


def test_a_new_sidecar_to_which_anything_was_added_stays() -> None:
    made = packet.with_keyword(None, "cat") + b"<!-- of a person -->"
    left = packet.without_keyword(made)
    assert left is not None
    assert b"of a person" in left
    assert packet.keyword_in(left) is None


def test_another_answer_replaces_the_one_before() -> None:
    once = packet.with_keyword(LIGHTROOM, "cat")
    assert packet.with_keyword(once, "dog") == packet.with_keyword(LIGHTROOM, "dog")
    assert packet.with_keyword(once, "cat") == once


def test_a_word_of_a_person_is_theirs_before_and_after() -> None:
    theirs = of(listed("dc:subject", "cat"))
    assert packet.with_keyword(theirs, "cat") == theirs
    assert packet.without_keyword(theirs) == theirs


def test_a_person_s_word_in_one_list_stays_when_ours_leaves_the_others() -> None:
    theirs = of(listed("dc:subject", "garden") + listed("lr:hierarchicalSubject", "cat"))
    after = packet.with_keyword(theirs, "cat")
    assert after.count(b"<rdf:li>cat</rdf:li>") == 2
    assert packet.without_keyword(after) == theirs


def test_a_new_sidecar_with_more_from_another_program_stays() -> None:
    made = packet.with_keyword(None, "cat")
    rated = made.replace(b"</rdf:RDF>", b'<rdf:Description xmlns:a="b" a:c="1" rdf:about=""/></rdf:RDF>')
    left = packet.without_keyword(rated)
    assert left is not None
    assert b'a:c="1"' in left
    assert packet.keyword_in(left) is None


@pytest.mark.parametrize(
    "empty", ["<rdf:Bag/>", "<rdf:Bag />", "<rdf:Seq></rdf:Seq>", "<rdf:Bag>\n</rdf:Bag>"]
)
def test_an_empty_list_is_filled_and_no_second_one_made_and_is_empty_again(empty: str) -> None:
    before = of(f"<dc:subject>{empty}</dc:subject>" + listed("lr:hierarchicalSubject"))
    after = packet.with_keyword(before, "cat")
    assert after.count(b"<dc:subject>") == 1
    assert packet.keyword_in(after) == "cat"
    assert packet.without_keyword(after) == before


def test_a_new_list_that_another_program_wrote_elsewhere_goes_as_a_whole() -> None:
    made = packet.with_keyword(RATED, "cat")
    [subject] = re.findall(rb"<dc:subject>.*</dc:subject>", made)
    left = packet.without_keyword(made.replace(subject, b"").replace(b"   \n", subject))
    assert left == RATED.replace(b"   \n", b"")


def test_the_description_is_about_what_the_others_are_about() -> None:
    assert packet.with_keyword(LIGHTROOM, "cat").count(b'rdf:about="uuid:1"') == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not XML"),
        (b"\xff\xfe<\0x\0/\0>\0", "not XML"),
        (b"<a><b></a>", "not XML"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + RATED, "expected UTF-8"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + RATED, "DOCTYPE"),
        (b"<note>milk</note>", "rdf:RDF"),
        (f'<rdf:RDF xmlns:rdf="{RDF}"/>'.encode(), "empty"),
        (b"<a>" * 200 + b"</a>" * 200, "written in a way"),
        (of("<dc:subject>cat</dc:subject>"), "written in a way"),
        (b" " * (LARGEST + 1), "more than"),
    ],
    ids=[
        "nothing",
        "utf-16",
        "broken",
        "latin-1",
        "doctype",
        "no-rdf",
        "empty-rdf",
        "deep",
        "odd-list",
        "large",
    ],
)
def test_a_sidecar_that_is_not_understood_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnusableSidecarError, match=why):
        packet.with_keyword(data, "cat")


TEXT = st.text("ab &<>\"'ü", min_size=1).map(str.strip).filter(bool)


@given(words=st.lists(TEXT, max_size=4), keyword=TEXT)
def test_any_words_and_any_keyword_come_out_as_they_went_in(words: list[str], keyword: str) -> None:
    before = of(listed("dc:subject", *map(escape, words)) if words else "")
    after = packet.with_keyword(before, keyword)
    assert (after == before) == (keyword in words)
    assert packet.without_keyword(after) == before


def test_elements_know_where_they_stand() -> None:
    data = b'<a x=">"><b/>t<c y="1">u</c></a>'
    root = parsed(data)
    b, c = root.children
    assert data[b.start : b.end] == b"<b/>"
    assert data[c.start : c.end] == b'<c y="1">u</c>'
    assert data[c.content : c.content_end] == b"u"
    assert (root.text, root.attributes) == ("t", {"x": ">"})


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_exiftool_shows_the_keyword_and_keeps_the_mark_when_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(packet.with_keyword(LIGHTROOM, "cät"))
    assert _exiftool("-s3", "-Subject", str(path)) == "Bäumchen, 2026, cät\n"
    assert _exiftool("-s3", "-HierarchicalSubject", str(path)) == "Garden|Bäumchen, 2026, cät\n"
    _exiftool("-overwrite_original", "-Subject+=holiday", str(path))
    left = packet.without_keyword(path.read_bytes())
    assert left is not None
    path.write_bytes(left)
    assert _exiftool("-s3", "-Subject", str(path)) == "Bäumchen, 2026, holiday\n"


def _exiftool(*words: str) -> str:
    line = ["exiftool", "-charset", "filename=utf8", *words]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout
