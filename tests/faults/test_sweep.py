"""A sample of the points that `make sweep` tries one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.faults import sweep
from tests.faults.sweep import Across, Point, Yard, points
from tests.support.fork_server import ForkServer
from tests.support.strace import STRACE, changes

SEED = 2026
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(STRACE is None, reason="strace is not here"),
]


@pytest.fixture(scope="module")
def yard(fork_server: ForkServer) -> Iterator[Yard]:
    yard = Yard(fork_server)
    yield yard
    yard.close()


@pytest.fixture(scope="module")
def all_points(yard: Yard) -> list[Point]:
    return points(yard, {"kill", "nested", "error"}, random.Random(SEED))


def try_some(
    yard: Yard, every: list[Point], kinds: set[str], count: int, across: Across = "", call: str = ""
) -> None:
    of_these = [p for p in every if p.kind in kinds and p.across == across and call in ("", p.call)]
    came = 0
    for point in random.Random(SEED).sample(of_these, min(4 * count, len(of_these))):
        try:
            came += sweep.check(yard, point)
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from error
        # The trace of a run that was slow has calls, of its signs of life, that no other makes.
        if came == count:
            return
    assert came, "no fault ever came"


@pytest.mark.fault(58)
def test_killed_at_any_system_call_nothing_is_lost(yard: Yard, all_points: list[Point]) -> None:
    try_some(yard, all_points, {"kill"}, 4)


@pytest.mark.fault(59)
def test_killed_again_in_recovery_nothing_is_lost(yard: Yard, all_points: list[Point]) -> None:
    # At a rename there is always something to recover, else the second kill would meet an ordinary start.
    try_some(yard, all_points, {"nested"}, 3, call="renameat2")


@pytest.mark.fault(67)
def test_a_call_that_fails_once_or_for_ever_loses_nothing(yard: Yard, all_points: list[Point]) -> None:
    try_some(yard, all_points, {"once"}, 3)
    try_some(yard, all_points, {"ever"}, 3)


@pytest.mark.fault(67, 68)
@pytest.mark.parametrize("across", ["sorted", "inboxes"])
def test_nor_does_any_of_these_while_files_are_copied(
    yard: Yard, all_points: list[Point], across: Across
) -> None:
    try_some(yard, all_points, {"kill"}, 2, across)
    try_some(yard, all_points, {"nested", "once", "ever"}, 2, across)


@pytest.mark.fault(58, 67)
@pytest.mark.parametrize(
    ("action", "calls"),
    [
        ("copy", {"renameat2", "fsync"}),
        ("hardlink", {"linkat", "renameat2"}),
        ("symlink", {"symlink", "renameat2"}),
    ],
)
def test_nor_does_any_of_these_where_originals_stay(yard: Yard, action: str, calls: set[str]) -> None:
    every = points(yard, {"kill", "error"}, random.Random(SEED), [""], [action])
    try_some(yard, [point for point in every if point.call in calls], {"kill"}, 2)
    try_some(yard, [point for point in every if point.call in calls], {"once", "ever"}, 1)


@pytest.mark.fault(58, 67)
@pytest.mark.parametrize(
    ("action", "user", "call"),
    [("copy", "undo", "unlink"), ("move", "undo", "renameat2"), ("symlink", "correct", "renameat2")],
)
def test_nor_does_any_of_these_in_a_command_that_changes_what_was_filed(
    yard: Yard, action: str, user: str, call: str
) -> None:
    every = points(yard, {user}, random.Random(SEED), [""], [action])
    try_some(yard, every, {"kill"}, 2, call=call)
    try_some(yard, every, {"once", "ever"}, 1, call=call)


@pytest.mark.fault(58, 67)
def test_killed_at_a_move_of_a_companion_it_stays_with_its_photo(yard: Yard) -> None:
    calls = [call for call in yard.trace("") if call.name == "renameat2" and changes(call)]
    of_companions = [call for call in calls if call.text.count("pair.")]
    assert len(of_companions) >= 6, [call.text for call in calls]  # three files, in and out of the spool
    for call in of_companions:
        assert sweep.check(yard, Point("kill", "", call.name, call.number))
