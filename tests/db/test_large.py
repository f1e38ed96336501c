"""What the pages ask, of 100,000 rows: by an index, with no sort and no scan through the table.

`python -m benchmarks pages --photos 1000000` has the times.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from benchmarks.pages import OUTCOMES, QUESTIONS
from benchmarks.queries import FILTERS
from benchmarks.rows import LAST, fill
from db.connection.engine import open_database
from db.queries import browse, listing
from db.queries.browse import Choice, Mark
from db.queries.listing import results
from tests.db.plans import plans

ROWS = 100_000
NAMES = "SCAN file_names VIRTUAL TABLE INDEX"
FOLDERS = "SEARCH files USING INDEX ix_files_folder"
DATES = "SEARCH files USING COVERING INDEX ix_files_taken_at"
CONFIDENCES = "SEARCH files USING COVERING INDEX ix_files_confidence"


def _looked_up(steps: list[str], where: tuple[str, ...] = (NAMES, CONFIDENCES, FOLDERS, DATES)) -> bool:
    return any(step.startswith(where) for step in steps)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, sqlite_made: Path) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("large") / "pawsort.db"
    path.write_bytes(sqlite_made.read_bytes())
    engine = open_database(f"sqlite:///{path}", "write")
    fill(engine, ROWS)
    yield engine
    engine.dispose()


@pytest.mark.fault(112)
@pytest.mark.parametrize(("name", "ask"), QUESTIONS.items(), ids=list(QUESTIONS))
def test_what_a_page_asks_is_answered_by_an_index(
    large: Engine, name: str, ask: Callable[[Engine], Any]
) -> None:
    steps = plans(large, lambda: ask(large))
    assert steps
    bare = [step for step in steps if step.startswith("SCAN files") and "INDEX" not in step]
    assert not bare, f"reads the whole table: {bare}"
    sorted_rows = [step for step in steps if step.endswith("FOR ORDER BY")]
    # A few thousand candidates at most, looked up; the 20 rows of an answer.
    assert not sorted_rows or _looked_up(steps) or name == "query of an outcome", steps
    grouped = [step for step in steps if step.endswith("FOR GROUP BY")]
    assert not grouped or name.endswith(", counted"), steps


@pytest.mark.fault(112)
def test_a_confidence_of_many_sorts_nothing_and_one_of_few_reads_only_these(large: Engine) -> None:
    many, few = (plans(large, lambda n=n: list(results(large, FILTERS[n])))  # type: ignore[misc]
                 for n in ("a range that many have", "a confidence that few have"))  # fmt: skip
    assert not [step for step in many if step.startswith("SEARCH files USING INDEX ix_files_confidence")]
    assert [step for step in few if step.startswith("SEARCH files USING INDEX ix_files_confidence")]


@pytest.mark.fault(112)
def test_a_rare_name_is_found_by_the_index(large: Engine) -> None:
    steps = plans(large, lambda: list(results(large, FILTERS["a name that few have"])))
    assert _looked_up(steps, (NAMES,))
    assert not [step for step in steps if step.startswith("SCAN files USING INDEX")], steps


@pytest.mark.fault(112)
@pytest.mark.parametrize(("name", "index"), [("a folder of few", FOLDERS), ("a day of the camera", DATES)])
def test_a_rare_folder_or_date_is_found_by_the_index(large: Engine, name: str, index: str) -> None:
    steps = plans(large, lambda: list(results(large, FILTERS[name])))
    assert _looked_up(steps, (index,)), steps
    removed = "SCAN files USING INDEX ix_files_removed"  # partial: of deleted files
    assert not [step for step in steps if step.startswith("SCAN files") and step != removed], steps


@pytest.mark.fault(112)
@pytest.mark.parametrize("name", ["a folder of many", "a year of the camera"])
def test_a_folder_or_dates_of_many_sort_nothing(large: Engine, name: str) -> None:
    steps = plans(large, lambda: list(results(large, replace(FILTERS[name], limit=20))))
    assert [step for step in steps if "ix_files_seen_at" in step], steps
    assert not [step for step in steps if step.endswith("FOR ORDER BY") and "seen_at" in step], steps


@pytest.mark.parametrize("name", FILTERS)
def test_query_finds_the_same_rows_by_every_plan(
    large: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[int]:
        return [row["id"] for row in results(large, replace(FILTERS[name], limit=50))]

    quick = found()
    monkeypatch.setattr(listing, "COMMON", -1)
    monkeypatch.setattr(listing, "ids_by_name", lambda *_: None)
    monkeypatch.setattr(listing, "rare_ids", lambda *_: [])
    assert found() == quick
    assert bool(quick) is (not name.endswith("none has"))


def test_counts_read_no_rows(large: Engine) -> None:
    for ask in (QUESTIONS["what is left to review"], QUESTIONS["failures by reason"], QUESTIONS["14 days"]):
        steps = plans(large, lambda ask=ask: ask(large))  # type: ignore[misc]
        assert all("COVERING INDEX" in step for step in steps), steps


@pytest.mark.fault(112)
def test_pages_meet_each_file_once_and_in_order(large: Engine) -> None:
    choice = Choice(outcome="uncertain", since=LAST - dt.timedelta(days=20))
    met: list[int] = []
    after: Mark | None = None
    while True:
        page = browse.page(large, choice, after, size=97)
        met += [entry.id for entry in page.entries]
        if page.next is None:
            break
        after = page.next
    [(_, counted)] = [browse.first_page(large, choice, ["uncertain"])]
    assert len(met) == len(set(met)) == counted.by_outcome["uncertain"]
    assert met == sorted(met, reverse=True)


def test_a_search_without_a_match_ends_and_continues_from_where_it_ended(
    large: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "WINDOW", 52_000)
    monkeypatch.setattr(browse, "SEARCH_SECONDS", 0.0)
    first = browse.page(large, Choice(inbox="/photos/none"))
    assert (first.entries, first.next is None) == ((), False)
    assert first.next is not None
    assert first.searched_to == first.next.seen_at
    assert first.next.id == ROWS - 52_000 + 1
    second = browse.page(large, Choice(inbox="/photos/none"), first.next)
    assert second == browse.Page(())
    monkeypatch.setattr(browse, "SEARCH_SECONDS", 3600.0)
    assert browse.page(large, Choice(inbox="/photos/none")) == browse.Page(())


def test_a_rare_confidence_is_found_by_the_index(large: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    few, name = Choice(min_confidence=0.4, max_confidence=0.41), Choice(name="rex", min_confidence=0.4)
    met = [browse.page(large, choice, size=20) for choice in (few, name)]
    assert all(len(page.entries) == 20 for page in met)
    with monkeypatch.context() as patch:
        patch.setattr(browse, "rarest", lambda *_: None)
        patch.setattr(browse, "SEARCH_SECONDS", 3600.0)
        assert [browse.page(large, choice, size=20) for choice in (few, name)] == met
    monkeypatch.setattr(browse, "_search", None)
    assert browse.page(large, few, size=20) == met[0]


def test_windows_together_find_what_one_look_would(large: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = Choice(inbox="/photos/inbox1", corrected=True, outcome="dogs")
    monkeypatch.setattr(browse, "WINDOW", ROWS)
    whole = browse.page(large, choice, size=10_000)
    monkeypatch.setattr(browse, "WINDOW", 1_000)
    met: list[int] = []
    page = browse.page(large, choice, size=50)
    while True:
        met += [entry.id for entry in page.entries]
        if page.next is None:
            break
        page = browse.page(large, choice, page.next, size=50)
    assert met == [entry.id for entry in whole.entries]
    assert len(met) > 100


def test_counts_stop_where_there_are_many(large: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "MOST", 500)
    _, counted = browse.first_page(large, Choice(), OUTCOMES)
    assert counted.by_outcome == dict.fromkeys(OUTCOMES, 500)
    assert counted.back_to is None


def test_filters_without_an_index_count_only_the_newest_rows(
    large: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "COUNTED", 3_000)
    page, counted = browse.first_page(large, Choice(inbox="/photos/inbox1"), OUTCOMES, size=5_000)
    assert counted.back_to is not None
    among = [e for e in page.entries if e.seen_at >= counted.back_to]
    assert sum(counted.by_outcome.values()) == len(among) == 999
