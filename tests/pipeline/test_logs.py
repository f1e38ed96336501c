from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pipeline.config import LogSettings
from pipeline.logs import printable, set_up


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield io.StringIO()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.fault(34)
def test_a_hostile_name_stays_on_its_line(stream: io.StringIO) -> None:
    set_up(LogSettings(), stream)
    logging.getLogger("x").info("filed %s", "a\nb\x1b[31m\u202e.jpg")
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().endswith(r"INFO filed a\nb\x1b[31m\u202e.jpg" + "\n")


def test_json_has_one_object_a_line(stream: io.StringIO) -> None:
    set_up(LogSettings(format="json"), stream)
    logging.getLogger("x").warning('he said "%s"', "\n")
    record = json.loads(stream.getvalue())
    assert (record["level"], record["logger"], record["message"]) == ("warning", "x", 'he said "\\n"')


def test_the_level_is_the_one_asked_for(stream: io.StringIO) -> None:
    set_up(LogSettings(level="error"), stream)
    logging.getLogger("x").warning("too quiet to hear")
    assert stream.getvalue() == ""


def test_a_defect_shows_where_it_is(stream: io.StringIO) -> None:
    set_up(LogSettings(), stream)
    try:
        raise KeyError("missing")
    except KeyError:
        logging.getLogger("x").exception("broken")
    assert "KeyError: 'missing'" in stream.getvalue()


def test_what_is_printable_is_left_as_it_is() -> None:
    assert printable("Ünï cät 猫.jpg") == "Ünï cät 猫.jpg"
