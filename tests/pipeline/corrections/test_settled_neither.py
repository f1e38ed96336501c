"""With `outcomes.neither`, photos that a person called neither go to a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.by_hand.folder_labels import labels_of
from pipeline.classifier.configured_model import refuse_class_for_neither
from pipeline.errors import SettingsError
from pipeline.settings import config
from pipeline.web.served_models.label_choices import answers
from tests.support.installation import FOLDERS, QUICK, Installation
from tests.support.stub_classifier import BUNDLE


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    pawsort = Installation(tmp_path, QUICK + "outcomes: {neither: sorted/none}\n")
    yield pawsort
    pawsort.close()


def test_a_photo_called_neither_leaves_uncertain_and_an_undo_brings_it_back(pawsort: Installation) -> None:
    id = pawsort.file(b"a/x.jpg", outcome="uncertain", reason="neither")
    [change] = pawsort.correct(b"uncertain/a/x.jpg", label="neither")
    assert (change.problem, change.outcome) == (None, "none")
    assert pawsort.state(id) == ("filed", "none", "neither", b"sorted/none/a/x.jpg")
    pawsort.undo(files=(b"none/a/x.jpg",))
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/a/x.jpg")


def test_the_same_photo_follows_it_when_it_arrives_again(pawsort: Installation) -> None:
    pawsort.drop("x.jpg", b"<cat>")
    pawsort.run_worker()
    pawsort.correct(b"cats/x.jpg", label="neither")
    pawsort.drop("again.jpg", b"<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"none/x.jpg", "none/again.jpg"}


def test_a_photo_that_is_dragged_there_is_called_neither(pawsort: Installation) -> None:
    labels = labels_of(FOLDERS, pawsort.settings)
    assert [labels.label(folder) for folder in ("none", "cats", "uncertain")] == ["neither", "cat", None]


def test_the_pages_offer_that_folder(pawsort: Installation) -> None:
    folder_of = {
        answer.label: answer.folder for answer in answers(FOLDERS, pawsort.settings.outcomes.neither)
    }
    assert folder_of["neither"] == "none"


def test_the_folder_of_a_class_is_refused(pawsort: Installation) -> None:
    refuse_class_for_neither(pawsort.settings, BUNDLE)
    pawsort.config.write_text("outcomes: {neither: cats}\n")
    with pytest.raises(SettingsError, match="cats is the folder of cat"):
        refuse_class_for_neither(config.load(pawsort.config), BUNDLE)


@pytest.mark.parametrize("folder", ["failed", "a/b", ".x", "''", "sorted/", "3"])
def test_other_names_are_refused(pawsort: Installation, folder: str) -> None:
    pawsort.config.write_text(f"outcomes: {{neither: {folder}}}\n")
    with pytest.raises(SettingsError, match=r"outcomes\.neither"):
        config.load(pawsort.config)
