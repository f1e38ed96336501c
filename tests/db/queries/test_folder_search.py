"""Files by a folder, of their inbox or where they are now, and by the date that they were taken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import browse
from db.queries.browse import Choice
from db.queries.listing import ResultFilter, results
from db.queries.search import folder_search
from db.queries.search.folder_search import WantedFolder, wanted_folder
from tests.db.conftest import NOON, filed, later


def found(engine: Engine, **wanted: Any) -> list[str]:
    """Return the names that a query finds, which must be those of Browse."""
    if "folder" in wanted:
        wanted["folder"] = WantedFolder(wanted["folder"], is_inner=wanted["folder"] not in ("/in", "/sorted"))
    names = [row["name"] for row in results(engine, ResultFilter(**wanted))]
    page = browse.page(engine, Choice(**wanted)).entries
    counted = browse.first_page(engine, Choice(**wanted), ["cats"])[1].by_outcome["cats"]
    assert [entry.name.decode() for entry in page] == names and counted == len(names)
    return sorted(names)


@pytest.fixture(params=["by an index", "by reading all"])
def tree(ledger: Ledger, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Photos in folders of an inbox, one of them moved by hand since."""
    if request.param == "by reading all":
        monkeypatch.setattr(folder_search, "RARE", 0)
    places = {
        b"top.jpg": b"/sorted/cats/top.jpg",
        b"rome/a.jpg": b"/sorted/cats/rome/a.jpg",
        b"rome/zoo/b.jpg": b"/sorted/cats/best/b.jpg",
        b"rome2/c.jpg": b"/sorted/cats/rome2/c.jpg",
        b"Rome/d.jpg": b"/sorted/cats/Rome/d.jpg",
        b"100%_\\/e.jpg": b"/sorted/cats/100%_\\/e.jpg",
    }
    for n, (source, place) in enumerate(places.items()):
        filed(ledger, source, ino=n + 1, destination=place, at=later(n))
    return ledger


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("rome", ["a.jpg", "b.jpg"]),
        ("/in/rome", ["a.jpg", "b.jpg"]),
        ("/in/rome/zoo", ["b.jpg"]),
        ("rome/zoo", ["b.jpg"]),
        ("zoo", []),
        ("/sorted/cats/rome", ["a.jpg"]),
        ("/sorted/cats/best", ["b.jpg"]),
        ("/sorted/cats/rom", []),
        ("100%_\\", ["e.jpg"]),
        ("/in", ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "top.jpg"]),
        ("/sorted", ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "top.jpg"]),
        ("/elsewhere/rome", []),
        ("r\0me", []),
    ],
)
def test_a_folder_finds_what_came_from_it_and_what_is_in_it(
    tree: Ledger, engine: Engine, folder: str, names: list[str]
) -> None:
    assert found(engine, folder=folder) == names


@pytest.mark.parametrize("rare", [folder_search.RARE, 0])
def test_a_date_finds_what_the_camera_says_was_taken_then(
    ledger: Ledger, engine: Engine, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(folder_search, "RARE", rare)
    taken = [
        "2024-01-31T23:59:59",
        "2024-02-01T00:00:00",
        "2024-02-01T10:00:00+05:00",
        "1965-07-04T00:00:00",
        None,
    ]
    for n, at in enumerate(taken):
        filed(ledger, b"%d" % n, ino=n + 1, at=NOON, taken_at=at)
    day = dt.datetime(2024, 2, 1)
    assert found(engine, taken_since=day) == ["1", "2"]
    assert found(engine, taken_until=day) == ["0", "3"]
    assert found(engine, taken_since=day, taken_until=dt.datetime(2024, 2, 1, 10)) == ["1"]
    assert found(engine, taken_since=day, since=later(1)) == []


def test_a_folder_is_absolute_where_it_exists_and_else_of_the_inboxes(tmp_path: Path) -> None:
    inbox, sorted_ = tmp_path / "inbox", tmp_path / "sorted"
    (inbox / "rome").mkdir(parents=True)
    (sorted_ / "cats").mkdir(parents=True)

    def wanted(said: str) -> tuple[str, bool]:
        return tuple(wanted_folder(said, tmp_path, [inbox], sorted_))

    assert wanted("inbox") == (str(inbox), False)
    assert wanted("inbox/rome/") == (str(inbox / "rome"), True)
    assert wanted("cats") == (str(sorted_ / "cats"), True)
    assert wanted("rome/") == ("rome", True)
    assert wanted(str(inbox / "gone" / ".." / "was")) == (str(inbox / "was"), True)
