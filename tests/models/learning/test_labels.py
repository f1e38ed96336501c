from __future__ import annotations

from models.bundle.bundle import Bundle
from models.learning.labels import labelled
from models.learning.photos import JudgedPhoto


def photos(label: str, count: int) -> list[JudgedPhoto]:
    return [JudgedPhoto(b"x", label, f"{label}{i}", id=i) for i in range(count)]


def test_folders_and_labels_of_the_model_are_its_labels(plain_bundle: Bundle):
    found = labelled(plain_bundle, [*photos("cats", 2), *photos("dog", 1), *photos("neither", 1)], {})
    assert list(found.names) == ["cat", "cat", "dog", "neither"]
    assert found.labels == plain_bundle.labels and dict(found.folders) == dict(plain_bundle.folders)


def test_another_folder_with_enough_photos_is_a_new_label(plain_bundle: Bundle):
    found = labelled(plain_bundle, [*photos("cat", 1), *photos("rabbits", 20)], {})
    assert found.labels == (*plain_bundle.labels, "rabbits") and found.folders["rabbits"] == "rabbits"
    assert not found.left_out


def test_labels_of_too_few_photos_or_impossible_folders_are_left_out(plain_bundle: Bundle):
    judged = [*photos("cat", 1), *photos("rabbits", 19), *photos("CATS", 30), *photos("uncertain", 30)]
    found = labelled(plain_bundle, judged, {})
    assert found.labels == plain_bundle.labels and len(found.photos) == 1
    reasons = {item.sha256.rstrip("0123456789"): item.reason for item in found.left_out}
    assert "19 photos; a new label needs at least 20" in reasons["rabbits"]
    assert "reserved" in reasons["uncertain"] and "case" in reasons["CATS"]
    assert len(found.left_out) == 79


def test_unreadable_photos_are_left_out_with_their_reason(plain_bundle: Bundle):
    found = labelled(plain_bundle, photos("cat", 2), {"cat1": "its content has changed"})
    assert [photo.sha256 for photo in found.photos] == ["cat0"]
    assert [(item.id, item.reason) for item in found.left_out] == [(1, "its content has changed")]


def test_of_equal_contents_the_last_judgement_counts(plain_bundle: Bundle):
    twice = [JudgedPhoto(b"x", "cat", "a"), JudgedPhoto(b"x", "dog", "a")]
    assert list(labelled(plain_bundle, twice, {}).names) == ["dog"]
