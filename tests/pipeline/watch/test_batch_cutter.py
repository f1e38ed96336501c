from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.watch.batch_cutter import BatchCutter


def test_a_full_batch_is_cut_at_once() -> None:
    cutter: BatchCutter[int] = BatchCutter(2, wait_seconds=10)
    cutter.add([1, 2], now=0)
    assert cutter.cut(now=0) == [1, 2]
    assert cutter.cut(now=100) == []


def test_a_smaller_batch_waits_for_the_first_of_it() -> None:
    cutter: BatchCutter[int] = BatchCutter(9, wait_seconds=10)
    cutter.add([1], now=0)
    cutter.add([2], now=9)
    assert cutter.cut(now=9.9) == []
    assert cutter.cut(now=10) == [1, 2]


def test_the_clock_starts_anew_for_each_batch() -> None:
    cutter: BatchCutter[int] = BatchCutter(9, wait_seconds=10)
    cutter.add([1], now=0)
    cutter.cut(now=10)
    cutter.add([2], now=15)
    assert cutter.cut(now=20) == []
    assert cutter.cut(now=25) == [2]


@given(st.lists(st.integers(0, 3)), st.integers(1, 4))
def test_nothing_is_lost_or_turned_round(counts: list[int], size: int) -> None:
    cutter: BatchCutter[int] = BatchCutter(size, wait_seconds=0)
    out: list[int] = []
    put = 0
    for now, count in enumerate(counts):
        cutter.add(list(range(put, put + count)), now)
        put += count
        out += cutter.cut(now)
    assert out == list(range(put))
