"""An inbox divided by names: what belongs together is in one share."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from pipeline.companions import rules
from pipeline.companions.shares import Share, group

STEMS = (
    "a", "IMG_0001", "IMG_E0001", "rex in the garden", "2024.01.31 rex", "b(1)", "c (2)", "c (2)(3)", "Ärger",
    ".d", "x" * 28, "x" * 33, "x" * 36, "y" * 45, "photo of the third dog in the garden of the house", "e_01",
    "f-edited", "z" * 40 + "(1)", "q" * 30 + "-bearbeitet", "PXL_20240131_101112345.MP", "w" * 29 + " (1)",
)  # fmt: skip
TAILS = (
    "", ".xmp", ".json", ".supplemental-metadata.json", ".supplemental-me.json", ".s.json", ".aae", ".thm",
    ".wav", ".mov", ".cr2", "(1).json", ".supplemental-metadata(1).json",
)  # fmt: skip
SUFFIXES = ("", "-bearbeitet", "-modifié(1)", "_01")


def near(stem: str) -> list[bytes]:
    """Return names that programs give to a photo and what lies beside it."""
    photos = [f"{stem}{suffix}{ending}" for suffix in SUFFIXES for ending in (".jpg", ".HEIC")]
    beside = [
        f"{name}{tail}" for photo in photos for name in (photo, photo.rpartition(".")[0]) for tail in TAILS
    ]
    cut = [
        f"{photo[:length]}{number}.json"
        for photo in photos
        for length in (46, 43, 51)
        for number in ("", "(1)")
    ]
    return sorted({name.encode() for name in (*photos, *beside, *cut)} | {b"IMG_0001.AAE"})


@pytest.mark.parametrize("stem", STEMS)
def test_whatever_the_rules_hold_together_is_in_one_group(stem: str) -> None:
    names = near(stem)
    pairs = [(name, owner) for name in names if (owner := rules.owner(name, names)) is not None]
    assert len(pairs) > 50
    assert [pair for pair in pairs if group(pair[0]) != group(pair[1])] == []


def test_each_spelling_of_an_owner_is_in_the_group_of_its_companion() -> None:
    names = {name for stem in STEMS for name in near(stem)}
    for name in sorted(names)[::3]:
        for owner in itertools.islice(rules.candidates(name), 20):
            assert group(owner) == group(name), (name, owner)


def test_each_file_is_in_exactly_one_share_and_shares_are_alike() -> None:
    shares = [Share.parse(f"{number}/3") for number in (1, 2, 3)]
    found = Counter[int]()
    for number in range(3000):
        [share] = [each for each in shares if each.has(b"day %d/IMG_%04d.jpg" % (number % 7, number))]
        found[share.number] += 1
    assert min(found.values()) > 900


def test_the_folder_counts_and_a_free_name_stays_in_the_share() -> None:
    share = Share(1, 2)
    assert len({share.has(b"%d/a.jpg" % number) for number in range(20)}) == 2
    chance = random.Random(1)
    for _ in range(200):
        name = b"%d" % chance.randrange(10**9)
        assert share.has(name + b".jpg") == share.has(name + b" (2).jpg") == share.has(name + b" (13).JPG")
