from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from models.data.splits import SHARES, SPLITS, held_out_sources, split_of, split_of_neither

DIGESTS = [hashlib.sha256(b"%d" % i).digest() for i in range(4000)]
KNOWN = ["test", "train", "train", "train", "calibration", "calibration"]


def test_split_depends_on_content_and_seed_alone():
    assert [split_of(d, 1) for d in DIGESTS] == [split_of(d, 1) for d in DIGESTS]
    assert [split_of(d, 1) for d in DIGESTS] != [split_of(d, 2) for d in DIGESTS]


def test_split_of_a_known_content_never_changes():
    assert [split_of(d, 1) for d in DIGESTS[:6]] == KNOWN


def test_splits_have_their_shares():
    counts = Counter(split_of(d, 7) for d in DIGESTS)
    assert [counts[s] / len(DIGESTS) for s in SPLITS] == pytest.approx(SHARES, abs=0.02)


def test_whole_sources_of_neither_are_held_out_but_never_the_largest():
    sources = ["sea"] * 9 + ["street"] * 5 + ["forest"] * 5 + ["desk"] * 2
    for seed in range(20):
        held = held_out_sources(sources, seed)
        assert sorted(held.values()) == ["calibration", "test"] and "sea" not in held


def test_two_sources_are_too_few_to_hold_one_out():
    assert held_out_sources(["sea", "street", "", ""], 1) == {}


def test_source_that_trains_is_never_tested_on():
    held = held_out_sources(["a", "b", "c", "d"], 1)
    open_source = next(s for s in "abcd" if s not in held)
    found = {split_of_neither(d, open_source, held, 1) for d in DIGESTS}
    assert found == {"train", "validation", "calibration"}
    assert {split_of_neither(d, s, held, 1) for d in DIGESTS[:50] for s in held} == {"calibration", "test"}
