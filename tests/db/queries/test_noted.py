"""Noted photos: in `results` and Browse, and in nothing that is about files in folders."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine

from db.ledger import retention
from db.ledger.ledger import Ledger
from db.queries import (
    browse,
    day_figures,
    integrity,
    judged,
    listing,
    neighbours,
    originals,
    overview,
    places,
    review,
    spot_checks,
)  # fmt: skip
from tests.db.conftest import NOON, filed, later
from tests.support.noted_rows import MOMENT, note_some, noted

DAY = NOON - dt.timedelta(hours=1), NOON + dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def rows(engine: Engine, ledger: Ledger) -> None:
    """A filed photo has the id 1."""
    filed(ledger, sha256="1" * 64)
    doubted = {"outcome": "uncertain", "reason": "low_confidence", "confidence": 0.5}
    nothing = {
        "outcome": "failed",
        "reason": "corrupt",
        "confidence": None,
        "prediction": None,
        "scores": None,
    }
    note_some(engine, noted(sha256="1" * 64), noted(b"u.jpg", **doubted), noted(b"f.jpg", **nothing))


def test_they_are_results(engine: Engine) -> None:
    def ids(**filters: object) -> set[int]:
        return {row["id"] for row in listing.results(engine, listing.ResultFilter(**filters))}  # type: ignore[arg-type]

    assert ids() == {1, 2, 3, 4}
    assert (ids(outcome="cats"), ids(outcome="noted"), ids(outcome="waiting")) == ({1, 2}, {2, 3, 4}, set())
    assert listing.result(engine, 2)["path"] == "/archive/n.jpg"  # type: ignore[index]


def test_they_are_counted_apart(engine: Engine) -> None:
    assert listing.counts(engine) == {"cats": 1, "noted": 3, "waiting": 0}
    assert overview.states(engine) == {"filed": 1, "noted": 3}
    assert spot_checks.verdicts(engine) == {"cats": 1}


def test_browse_shows_them(engine: Engine) -> None:
    found = browse.page(engine, browse.Choice()).entries
    assert [(entry.id, entry.state) for entry in found][:2] == [(4, "noted"), (3, "noted")]
    assert neighbours.neighbours(engine, browse.Choice(), browse.Mark(MOMENT, 3)) == (4, 2)
    assert len(browse.page(engine, browse.Choice(outcome="failed", reason="corrupt")).entries) == 1
    history = overview.history(engine, 1)
    assert history is not None and [entry.id for entry in history.same] == [2]


def test_no_person_is_asked_about_them(engine: Engine) -> None:
    assert review.left(engine) == {}
    assert review.queue(engine, [review.Group("low_confidence", "cat")]) == []
    assert list(spot_checks.undrawn(engine, "cats", None, None)) == [1]
    assert spot_checks.doubted(engine, "b" * 64, 9) == []
    assert [photo.id for photo in judged.filed(engine, 9)] == [1]
    assert judged.count(engine) == 0


def test_reports_leave_them_out(engine: Engine) -> None:
    assert [row["id"] for page in listing.report_rows(engine, *DAY) for row in page] == [1]
    assert day_figures.arrived(engine, *DAY) == {("", "/in"): 1}
    assert listing.first_seen_at(engine) == NOON
    assert not listing.changed_since(engine, *DAY, NOON)
    assert overview.by_day(engine, [DAY], ["cats", "failed"]) == [{"cats": 1, "failed": 0}]
    assert overview.failures(engine) == []
    assert overview.failed_paths(engine, "corrupt") == []
    assert day_figures.day_figures(engine, *DAY).answered == 1


def test_nothing_looks_for_their_files(engine: Engine, ledger: Ledger) -> None:
    assert [entry.id for entry in integrity.filed(engine)] == [1]
    assert ledger.unfinished() == []
    assert [place.id for place in places.page(engine, "filed", 0, 9)] == [1]
    assert [place.id for place in places.of_content(engine, ["1" * 64])["1" * 64]] == [1]
    assert list(originals.taken(engine)) == []
    assert overview.newest_paths(engine, 9) == [b"/sorted/cats/1.jpg"]
    assert retention.failed_before(engine, later(99), 0, 9) == []
    assert retention.forgettable(engine, 1, later(99), 9) == []


def test_a_photo_that_arrives_later_is_no_copy_of_them(engine: Engine, ledger: Ledger) -> None:
    sha256 = noted(b"u.jpg").decision.sha256 or ""
    assert ledger.same_content({sha256: [1]}) == {}
    assert [entry.id for entry in ledger.same_content({"1" * 64: [1]})["1" * 64]] == [1]


def test_they_are_not_undone(ledger: Ledger) -> None:
    assert [action.entry.id for action in ledger.last_actions(9)] == [1]
    assert ledger.actions_of([2]) == []
    assert ledger.arrived_as("/archive", b"", [b"n.jpg"], []) == []


def test_their_path_is_known(engine: Engine) -> None:
    assert integrity.is_noted(engine, b"/archive/n.jpg")
    assert not integrity.is_noted(engine, b"/other/n.jpg")
    assert not integrity.is_noted(engine, b"/sorted/cats/1.jpg")
