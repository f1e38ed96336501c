"""Names as cameras, phones and programs write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.companions import rules
from pipeline.companions.names import NameIndex
from pipeline.companions.rules import companions_of, distinct, longest_rest, paired, photo_of

LONG = "Screenshot of the cat on the roof at sunset 2021-07-04.jpg"
GROUPS = {
    "lightroom": ("IMG_1.CR2", ["IMG_1.xmp"]),
    "darktable": ("a.jpg", ["a.jpg.xmp"]),
    "darktable, a second edit of a RAW": ("DSC_7.NEF", ["DSC_7.NEF.xmp", "DSC_7_01.NEF.xmp"]),
    "both spellings, upper case": ("A.JPG", ["A.XMP", "A.JPG.XMP"]),
    "names that differ in case": ("img_1.jpg", ["IMG_1.XMP", "IMG_1.CR3"]),
    "a camera, with voice and thumbnail": ("DSC_1.JPG", ["DSC_1.NEF", "DSC_1.WAV", "DSC_1.THM"]),
    "a sidecar of the RAW": ("IMG_1.JPG", ["IMG_1.CR2", "IMG_1.CR2.xmp"]),
    "iphone": ("IMG_0001.HEIC", ["IMG_0001.AAE", "IMG_0001.MOV", "IMG_O0001.AAE"]),
    "proraw": ("IMG_0001.HEIC", ["IMG_0001.DNG"]),
    "takeout": ("IMG_1.jpg", ["IMG_1.jpg.json"]),
    "takeout of 2024": ("IMG_1.jpg", ["IMG_1.jpg.supplemental-metadata.json"]),
    "takeout, cut": ("IMG_20210704_183000123.jpg", ["IMG_20210704_183000123.jpg.supplemental-me.json"]),
    "takeout, cut to a dot": ("IMG_20210704_183000123.jpg", ["IMG_20210704_183000123.jpg..json"]),
    "takeout, the number behind": ("IMG_1(1).jpg", ["IMG_1.jpg(1).json"]),
    "takeout of 2024, the number behind": ("IMG_1(1).jpg", ["IMG_1.jpg.supplemental-metadata(1).json"]),
    "takeout, a long name cut to 46": (LONG, [LONG[:46] + ".json"]),
    "takeout, a long name in umlauts": ("ü" * 60 + ".jpg", ["ü" * 46 + ".json"]),
    "takeout, without extension": ("IMG_1.jpg", ["IMG_1.json"]),
    "takeout, a live photo": ("IMG_1.HEIC", ["IMG_1.HEIC.json", "IMG_1.MP4", "IMG_1.MP4.json"]),
    "a video": ("MVI_1.MP4", ["MVI_1.THM", "MVI_1.MP4.json"]),
    "a photo without extension": ("scan", ["scan.xmp"]),
    "a name with dots": ("2021.07.04 tom.jpg", ["2021.07.04 tom.xmp", "2021.07.04 tom.jpg.xmp"]),
}


def raw(names: list[str]) -> list[bytes]:
    return [name.encode() for name in names]


@pytest.mark.parametrize("case", GROUPS)
def test_the_files_that_programs_write_belong_to_their_photo(case: str) -> None:
    photo, companions = GROUPS[case]
    names = raw([photo, *companions, "other.jpg", "IMG_9.JPG", "IMG_9.xmp"])
    assert companions_of(photo.encode(), names) == tuple(sorted(raw(companions)))


@pytest.mark.parametrize("case", GROUPS)
def test_an_index_finds_what_the_rules_say_without_the_whole_folder(case: str) -> None:
    photo, companions = GROUPS[case]
    index = NameIndex()
    for name in (photo, *companions, "other.jpg", "IMG_9.JPG"):
        index.add(b"2021/" + name.encode())
        index.add(b"2022/" + name.encode())
    assert index.companions(b"2021/" + photo.encode()) == tuple(sorted(raw(companions)))
    gone = b"2021/" + companions[0].encode()
    index.remove(gone)
    assert companions[0].encode() not in index.companions(b"2021/" + photo.encode())
    assert companions[0].encode() in index.companions(b"2022/" + photo.encode())
    assert not index.is_companion(b"2021/" + photo.encode())


@pytest.mark.parametrize("case", GROUPS)
def test_names_stay_paired_when_the_photo_gets_another(case: str) -> None:
    photo, companions = (GROUPS[case][0].encode(), raw(GROUPS[case][1]))
    stem, extension = rules.split_extension(photo)
    now = stem + b" (2)" + extension
    renamed = [paired(name, photo, now) for name in companions]
    assert len({*renamed, now}) == len(companions) + 1
    assert [paired(name, photo, photo) for name in companions] == companions
    for before, after in zip(companions, renamed, strict=True):
        rest = len(after) - len(stem + b" (2)")
        assert rest <= longest_rest([before], photo)
        assert rules.split_extension(after)[1] == rules.split_extension(before)[1]
    if "cut" not in case and "umlauts" not in case:
        numbered = {
            photo_of(name, [now, *renamed]) for name in renamed if b"_O" not in name and b"_01" not in name
        }
        assert numbered <= {now}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("a.xmp", ["b.jpg", "ab.jpg", "a.txt"]),
        ("a.jpg.xmp", ["a.png", "a.jpeg"]),
        ("a.cr2", ["a.mov", "a.xmp"]),
        ("a.mov", ["a.png", "a.cr2"]),
        ("IMG_1.jpg(1).json", ["IMG_1.jpg", "IMG_1(2).jpg"]),
        ("IMG_1.jpg.metadata.json", ["IMG_1.jpg"]),
        ("metadata.json", ["a.jpg"]),
        (LONG[:42] + ".json", [LONG]),
        ("a.jpg", ["a.png", "a.jpg.jpg"]),
        ("a.jpg.json", ["a.jpg.json"]),
    ],
)
def test_other_names_are_no_companions(name: str, others: list[str]) -> None:
    assert photo_of(name.encode(), raw([name, *others])) == name.encode()


def test_of_several_photos_the_best_fit_owns_a_sidecar() -> None:
    both = raw(["a.jpg", "a.png"])
    assert photo_of(b"a.xmp", both) == b"a.jpg"
    assert photo_of(b"a.png.xmp", both) == b"a.png"
    assert photo_of(b"a.xmp", raw(["A.jpg", "a.jpg"])) == b"a.jpg"
    assert photo_of(b"a.xmp", raw(["a.mp4", "a.nef"])) == b"a.nef"


def test_edits_of_an_apple_photo_belong_to_the_edited_picture_only_without_the_first() -> None:
    assert photo_of(b"IMG_0001.AAE", raw(["IMG_0001.JPG", "IMG_E0001.JPG"])) == b"IMG_0001.JPG"
    assert photo_of(b"IMG_0001.AAE", raw(["IMG_E0001.JPG"])) == b"IMG_E0001.JPG"
    assert companions_of(b"IMG_E0001.JPG", raw(["IMG_0001.JPG", "IMG_E0001.JPG", "IMG_0001.AAE"])) == ()


def test_a_takeout_sidecar_belongs_to_the_edited_picture_only_without_the_first() -> None:
    assert photo_of(b"a.jpg.json", raw(["a.jpg", "a-edited.jpg"])) == b"a.jpg"
    assert photo_of(b"a.jpg.json", raw(["a-edited.jpg"])) == b"a-edited.jpg"


def test_a_raw_or_a_video_alone_is_a_file_of_its_own() -> None:
    assert companions_of(b"a.CR2", raw(["a.CR2", "a.xmp"])) == (b"a.xmp",)
    assert companions_of(b"a.CR2", raw(["a.CR2", "a.jpg", "a.xmp"])) == ()


def test_of_two_names_that_would_become_one_only_one_follows() -> None:
    assert distinct(b"a.jpg", [b"a.xmp", b"A.xmp"]) == (b"a.xmp",)
    two = [b"a.jpg(1).json", b"a.jpg.supplemental-metadata(1).json"]
    assert len(distinct(b"a(1).jpg", two)) == 1


def test_likely_spellings_of_owners_find_those_of_every_group() -> None:
    for photo, companions in GROUPS.values():
        for name in raw(companions):
            known = [*rules.candidates(name), *rules.beginnings(name)]
            assert any(photo.encode().startswith(each) for each in known), (photo, name)


@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_name_has_keys_and_is_its_own_photo_alone(name: bytes) -> None:
    assert rules.keys(name)
    assert photo_of(name, [name]) == name
    index = NameIndex()
    index.add(name)
    assert index.companions(name) == ()
    index.remove(name)
    assert not vars(index)["_names"]
