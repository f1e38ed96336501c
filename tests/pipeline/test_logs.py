from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest

from db.connection.address import location, parse
from pipeline.logs import printable, set_up
from pipeline.masking import masked

BIDI_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield io.StringIO()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.fault(34)
def test_a_hostile_name_stays_on_its_line(stream: io.StringIO) -> None:
    set_up(stream=stream)
    logging.getLogger("x").info("filed %s", "a\nb\x1b[31m\u202e.jpg")
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().endswith(r"INFO filed a\nb\x1b[31m\u202e.jpg" + "\n")


@pytest.mark.fault(34)
def test_every_character_that_changes_the_direction_of_text_is_escaped() -> None:
    turning = [chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in BIDI_CONTROLS]
    marks = ["\u061c", "\u200e", "\u200f"]
    assert not [character for character in turning + marks if character in printable(f"a{character}b")]


def test_arabic_hebrew_and_emoji_names_stay_readable() -> None:
    name = "\u0642\u0637\u0629 \u05db\u05dc\u05d1 \U0001f431\u200d\u2b1b.jpg"
    assert printable(name) == name


def test_json_has_one_object_a_line(stream: io.StringIO) -> None:
    set_up(format="json", stream=stream)
    logging.getLogger("x").warning('he said "%s"', "\n")
    record = json.loads(stream.getvalue())
    assert (record["level"], record["logger"], record["message"]) == ("warning", "x", 'he said "\\n"')


def test_the_level_is_the_one_asked_for(stream: io.StringIO) -> None:
    set_up(level="error", stream=stream)
    logging.getLogger("x").warning("too quiet to hear")
    assert stream.getvalue() == ""


def test_a_defect_shows_where_it_is(stream: io.StringIO) -> None:
    set_up(stream=stream)
    try:
        raise KeyError("missing")
    except KeyError:
        logging.getLogger("x").exception("broken")
    assert "KeyError: 'missing'" in stream.getvalue()


def test_what_is_printable_is_left_as_it_is() -> None:
    assert printable("Ünï cät 猫.jpg") == "Ünï cät 猫.jpg"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@host/name",
        "postgresql://ann:s3cret@host/name?password=s3cret&sslmode=require",
        "postgresql://host/name?user=ann&password=s3cret",
        "postgresql+psycopg://ann@host/name?sslmode=require&sslpassword=s3cret",
        "postgresql://ann@host/name?p%61ssword=s3cret",
        "postgresql://ann:s3cret@host/name?application_name=a@b",
    ],
)
def test_no_password_of_a_database_is_shown(url: str) -> None:
    for shown in (masked(url), location(parse(url))):
        assert shown is not None
        assert "s3cret" not in shown
        assert "***" in shown
        assert shown.startswith("postgresql")


def test_urls_without_a_password_are_shown_whole() -> None:
    for url in ("postgresql://ann@host/n?sslkey=/a/key", "sqlite:////a/b%3Fpassword=1.db", "postgresql:///n"):
        assert masked(url) == url
    assert masked("a-long-token-of-the-pages") == "***"


def test_libraries_that_would_log_urls_with_tokens_say_nothing_of_their_details() -> None:
    names = ("urllib3.connectionpool", "apprise", "oauthlib", "requests_oauthlib")
    stream = io.StringIO()
    set_up("text", "debug", stream)
    for name in names:
        logging.getLogger(name).debug("POST /bot-hunter2")
    assert stream.getvalue() == ""
