"""What people did by hand, on both kinds of databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from db.ledger import by_hand, imported
from db.ledger.by_hand import HandMove
from db.ledger.imported import Found
from db.ledger.ledger import Ledger
from db.queries import browse, listing, overview, places
from db.queries.browse import Choice
from db.queries.listing import ResultFilter
from tests.db.conftest import claim, filed, later
from tests.db.ledger.entries import in_state, only

IDENTITY = 8, 9, 10, 11


def moved(id: int, **changes: Any) -> HandMove:
    usual: dict[str, Any] = {
        "file_id": id, "kind": "move", "state": "filed", "was": b"/sorted/cats/%d.jpg" % id,
        "path": b"/sorted/dogs/a.jpg", "by": "ann", "keeps": False, "outcome": "dogs", "label": "dog",
        "identity": IDENTITY,
    }  # fmt: skip
    return HandMove(**(usual | changes))


def removed(id: int) -> HandMove:
    path = b"/sorted/cats/%d.jpg" % id
    return HandMove(id, "remove", "filed", path, path, "folder")


def test_a_move_to_another_folder_is_a_correction(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger)
    assert by_hand.record(engine, [moved(id)], later(1)) == {id}
    entry = only(ledger, id)
    assert (entry.outcome, entry.corrected_to, entry.path) == ("dogs", "dog", b"/sorted/dogs/a.jpg")
    assert (entry.dev, entry.ino, entry.bytes, entry.mtime_ns) == IDENTITY
    [move] = ledger.moves(id)
    assert (move.kind, move.via, move.done_at) == ("correct", "folder", later(1))
    [row] = listing.results(engine)
    assert (row["reviewed_by"], row["reviewed_at"]) == ("ann", later(1))


@pytest.mark.parametrize("change", [{"was": b"/elsewhere"}, {"state": "removed"}, {"state": "vanished"}])
def test_a_row_that_is_not_as_it_was_is_left_alone(
    engine: Engine, ledger: Ledger, change: dict[str, Any]
) -> None:
    id = filed(ledger)
    before = only(ledger, id)
    assert by_hand.record(engine, [moved(id, **change)], later(1)) == set()
    assert (only(ledger, id), ledger.moves(id)) == (before, [])


def test_a_file_that_a_correction_is_moving_is_left_alone(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger)
    move = ledger.begin_move(id, "correct", b"/sorted/dogs/a.jpg", "dogs", "dog", "jo", later(1))
    assert by_hand.record(engine, [moved(id)], later(1)) == set()
    assert ledger.moves(id) == [move]


def test_a_removed_file_is_counted_nowhere_and_comes_back(engine: Engine, ledger: Ledger) -> None:
    id, other = filed(ledger, ino=1), filed(ledger, b"b.jpg", ino=2)
    assert by_hand.record(engine, [removed(id)], later(1)) == {id}
    assert listing.counts(engine) == {"cats": 1, "waiting": 0}
    assert sum(overview.histogram(engine, 10)) == 1
    assert [e.id for e in browse.page(engine, Choice()).entries] == [other]
    assert browse.first_page(engine, Choice(min_confidence=0.1), ["cats"])[1].by_outcome == {"cats": 1}
    assert [row["id"] for row in listing.results(engine, ResultFilter(outcome="removed"))] == [id]
    assert list(listing.results(engine, ResultFilter(outcome="waiting"))) == []
    path = b"/sorted/cats/%d.jpg" % id
    back = HandMove(id, "return", "removed", path, path, "ann", outcome="cats", identity=IDENTITY)
    assert by_hand.record(engine, [back], later(2)) == {id}
    entry = only(ledger, id)
    assert (entry.state, entry.outcome, entry.confidence) == ("filed", "cats", 0.99)
    assert listing.result(engine, id)["removed_at"] is None  # type: ignore[index]


def test_an_edit_keeps_the_former_content_in_the_history(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger, answer_key="key")
    before = only(ledger, id)
    path = before.path or b""
    edit = HandMove(id, "edit", "filed", path, path, "ann", identity=IDENTITY, sha256="e" * 64)
    assert by_hand.record(engine, [edit], later(1)) == {id}
    after = only(ledger, id)
    assert (after.sha256, after.answer_key, after.scores) == ("e" * 64, None, before.scores)
    assert [move.old_sha256 for move in ledger.moves(id)] == [before.sha256]


def test_a_follow_is_undone_like_a_correction(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger)
    by_hand.record(engine, [moved(id, keeps=True, path=b"/sorted/cats/b.jpg")], later(1))
    [action, _] = ledger.last_actions(2)
    assert action.move and action.move.kind == "follow"


def test_files_put_in_are_recorded_with_their_label(engine: Engine, ledger: Ledger) -> None:
    files = [
        Found(
            b"/sorted/cats/%d" % n, "cats", b"%d" % n, (1, n, 1, 1), f"{n:064x}", "cat" if n else None, "ann"
        )
        for n in range(2)
    ]
    assert imported.record(engine, files, "/in", later(1)) == {file.path for file in files}
    rows = {row["name"]: (row["corrected_to"], row["reviewed_by"]) for row in listing.results(engine)}
    assert rows == {"0": (None, None), "1": ("cat", "ann")}
    [action] = [action for action in ledger.last_actions(5) if action.kind == "correct"]
    assert action.move and (action.move.via, action.move.new_corrected_to) == ("folder", "cat")
    assert imported.record(engine, files, "/in", later(2)) == set()


def test_places_are_read_in_pages_and_by_path_and_content(engine: Engine, ledger: Ledger) -> None:
    ids = [filed(ledger, b"%d.jpg" % n, ino=n + 1) for n in range(5)]
    pages = [places.page(engine, "filed", after, 2) for after in (0, ids[1], ids[3], ids[4])]
    assert [[place.id for place in page] for page in pages] == [ids[:2], ids[2:4], ids[4:], []]
    path = b"/sorted/cats/%d.jpg" % ids[2]
    assert [place.id for place in places.at_paths(engine, [path])[path]] == [ids[2]]
    by_hand.record(engine, [removed(ids[0])], later(1))
    found = places.of_content(engine, [f"{ids[0]:064x}", f"{ids[1]:064x}", "f" * 64])
    assert {sha: [(p.id, p.state) for p in rows] for sha, rows in found.items()} == {
        f"{ids[0]:064x}": [(ids[0], "removed")],
        f"{ids[1]:064x}": [(ids[1], "filed")],
    }
    assert places.last_id(engine) == ids[-1]


def test_a_decided_row_has_the_path_that_its_file_gets(engine: Engine, ledger: Ledger) -> None:
    id = in_state(ledger, "decided")
    [place] = places.decided(engine, [id])
    assert place.path == only(ledger, id).destination
    lost = HandMove(id, "move", "decided", place.path, b"/sorted/cats/b.jpg", "ann", identity=IDENTITY)
    assert by_hand.record(engine, [lost], later(1)) == {id}
    entry = only(ledger, id)
    assert (entry.state, entry.outcome, entry.filed_at) == ("filed", "cats", later(1))


def test_a_file_on_its_way_speaks_for_a_missing_one(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger, ino=5)
    [place] = places.page(engine, "filed", 0, 1)
    assert places.on_their_way(engine, [place]) == set()
    [claimed] = ledger.claim([claim(b"b.jpg", ino=6)], later(1))
    assert places.on_their_way(engine, [place]) == set()
    ledger.begin_decoding([(claimed.id, f"{id:064x}")], True, later(1))
    assert places.on_their_way(engine, [place]) == {id}


def test_an_identity_is_refreshed_where_the_row_is_as_it_was(engine: Engine, ledger: Ledger) -> None:
    id = filed(ledger)
    by_hand.refresh(engine, [(id, b"/elsewhere", IDENTITY)])
    assert only(ledger, id).ino == 1
    by_hand.refresh(engine, [(id, only(ledger, id).path or b"", IDENTITY)])
    assert only(ledger, id).ino == 9
