"""Loading a part of a backfill."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select, text

from db.connection.engine import owned_by, reading
from db.ledger import backfill, workers
from db.ledger.backfill import Known, LoadMark, claim_part, note
from db.ledger.ledger import Ledger
from db.queries import listing
from db.schema.tables import files
from db.schema.worker_tables import backfill_loads
from tests.db.conftest import NOON, SPOOL, claim, filed, later
from tests.db.plans import plans
from tests.support.noted_rows import MOMENT, noted

MARK = LoadMark("a" * 64, 3)
BEGUN = LoadMark("a" * 64 + backfill.BEGUN, 3)


def results(engine: Engine) -> list[dict[str, object]]:
    return sorted(listing.results(engine, listing.ResultFilter()), key=lambda row: row["id"])


def test_a_part_is_noted_once(engine: Engine) -> None:
    rows = [noted(), noted(b"b\xff.jpg", prediction=None, confidence=None, scores=None, outcome="failed")]
    assert note(engine, MARK, rows, NOON)
    assert not note(engine, MARK, rows, NOON)
    found = [(row["id"], row["path"], row["state"], row["outcome"], row["action"]) for row in results(engine)]
    assert found == [
        (1, "/archive/n.jpg", "noted", "cats", None), (2, r"/archive/b\xff.jpg", "noted", "failed", None),
    ]  # fmt: skip
    with reading(engine) as connection:
        assert connection.execute(select(backfill_loads)).all() == [("a" * 64, 3, 2, NOON)]
    [entry] = Ledger(engine, SPOOL).entries([1])
    assert (entry.scores, entry.companions, entry.confidence) == ({"cat": 0.95, "dog": 0.05}, None, 0.95)
    assert (entry.seen_at, entry.decided_at, entry.changed_at) == (MOMENT, MOMENT, NOON)
    assert (entry.dev, entry.ino, entry.bytes, entry.mtime_ns, entry.brightness) == (9, 9, 1000, 5, 0.5)
    assert backfill.loaded(engine, "a" * 64) == {3}
    assert backfill.loaded(engine, "b" * 64) == set()


def test_ids_go_on_after_rows_that_are_there_or_were(engine: Engine, ledger: Ledger) -> None:
    filed(ledger)
    [gone] = ledger.claim([claim()], NOON)
    ledger.unclaim([gone.id])
    note(engine, MARK, [noted(), noted(b"c.jpg", first=0)], NOON)
    assert filed(ledger) == 5
    assert [(row["id"], row["duplicate_of"]) for row in results(engine)] == [
        (1, None), (3, None), (4, 3), (5, None),
    ]  # fmt: skip


def test_a_part_without_photos_is_marked(engine: Engine) -> None:
    assert note(engine, MARK, [], NOON)
    assert claim_part(engine, SPOOL, BEGUN, [], NOON, again=False) == []
    assert claim_part(engine, SPOOL, BEGUN, [], NOON, again=False) is None


def test_a_part_is_claimed_once_as_from_an_inbox(engine: Engine, ledger: Ledger) -> None:
    claimed = claim_part(engine, SPOOL, BEGUN, [claim(), claim(b"b.jpg")], NOON, again=False)
    assert claimed is not None
    assert [entry.state for entry in ledger.unfinished()] == ["claimed", "claimed"]
    assert [entry.spool_name for entry in ledger.unfinished()] == [row.spool_name for row in claimed]
    assert claim_part(engine, SPOOL, BEGUN, [claim()], NOON, again=False) is None


def test_what_was_taken_of_a_part_is_known_until_it_is_finished(engine: Engine, ledger: Ledger) -> None:
    old, below, new = (claim(name) for name in (b"old.jpg", b"a/b\xff.jpg", b"new.jpg"))
    ledger.claim([old], NOON)
    refused, _ = claim_part(engine, SPOOL, BEGUN, [new, below], later(1), again=False) or ()
    note(engine, MARK, [noted(b"n.jpg")], later(1))
    ledger.unclaim([refused.id])
    sources = [old.source, below.source, new.source, b"n.jpg"]
    assert backfill.taken(engine, BEGUN, old.inbox, sources) == {below.source}
    assert backfill.taken(engine, BEGUN, "/other", sources) == set()
    assert len(claim_part(engine, SPOOL, BEGUN, [new], later(2), again=True) or ()) == 1
    assert backfill.taken(engine, BEGUN, old.inbox, sources) == {below.source, new.source}
    backfill.finish_part(engine, BEGUN)
    assert backfill.loaded(engine, MARK.run + backfill.FILED) == {3}
    assert backfill.loaded(engine, BEGUN.run) == set()


def test_rows_of_a_noted_part_end_and_may_be_noted_again(engine: Engine) -> None:
    rows = [noted(), noted(b"a/b.jpg"), noted(b"c.jpg")]
    note(engine, MARK, rows, NOON)
    inbox, sources = rows[0].file.inbox, [row.file.source for row in rows[:2]]
    backfill.unnote(engine, MARK._replace(part=4), inbox, sources, NOON)
    assert [row["state"] for row in results(engine)] == ["noted"] * 3
    backfill.unnote(engine, MARK, inbox, sources, NOON)
    assert [row["state"] for row in results(engine)] == ["noted"]
    assert {name: count for name, count in listing.counts(engine).items() if count} == {"noted": 1}
    assert note(engine, MARK, rows[:2], NOON)


def test_rows_of_a_part_are_found_by_their_names(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by what is in the table")
    rows = [noted(), noted(b"a/b.jpg")]
    note(engine, MARK, rows, NOON)
    inbox, sources = rows[0].file.inbox, [row.file.source for row in rows]
    for ask in (
        lambda: backfill.taken(engine, BEGUN, inbox, sources),
        lambda: backfill.unnote(engine, MARK, inbox, sources, NOON),
    ):
        found = {step.split(" INDEX ")[1].split()[0] for step in plans(engine, ask) if " files " in step}
        assert found == {"ix_files_folder", "ix_files_name"}


def test_the_first_ordinary_row_of_a_content_is_known(engine: Engine, ledger: Ledger) -> None:
    sha = {name: f"{number:064x}" for number, name in enumerate(("failed", "both", "held", "repaired", "no"))}
    filed(ledger, outcome="failed", sha256=sha["failed"])
    filed(ledger, outcome="failed", sha256=sha["both"])
    filed(ledger, outcome="cats", sha256=sha["both"])
    filed(ledger, outcome="duplicates", sha256=sha["held"])
    filed(ledger, reason="imported", sha256=sha["repaired"])
    note(engine, MARK, [noted(sha256=sha["held"])], NOON)
    assert backfill.known(engine, sorted(sha.values())) == {
        sha["failed"]: Known(1, False), sha["both"]: Known(3, True), sha["held"]: Known(6, True),
    }  # fmt: skip


def test_the_last_correction_of_a_content_is_known(engine: Engine, ledger: Ledger) -> None:
    ids = [filed(ledger, b"%d.jpg" % n, sha256="c" * 64) for n in range(2)]
    for number, (id, label) in enumerate(((ids[1], "dog"), (ids[0], "neither"))):
        move = ledger.begin_move(id, "correct", b"/x%d" % number, "dogs", label, "ann", later(number))
        ledger.finish_move(move.id, later(number))
    assert backfill.known(engine, ["c" * 64]) == {"c" * 64: Known(1, True, "neither")}


def test_rows_are_of_the_worker_that_loads_and_known_to_all(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one worker")
    ids = [workers.register(engine, name, name * 8) for name in ("ann", "bob")]
    ann, bob = (owned_by(engine, id) for id in ids)
    note(ann, MARK, [noted()], NOON)
    assert not note(bob, MARK, [noted()], NOON)
    assert backfill.known(engine, [noted().decision.sha256 or ""]) == {"6e2e6a7067": Known(1, True)}
    with reading(engine) as connection:
        assert connection.execute(select(files.c.worker_id)).scalars().all() == [1]
    with reading(bob) as connection:
        assert connection.execute(text("SELECT count(*) FROM files")).scalar() == 0
    for one in (ann, bob):
        one.dispose()
