from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from db.queries import review
from models.errors import DatasetError
from models.labels import NEITHER, RESERVED, check_folders, why_not
from models.training.options import TrainOptions
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN


def test_the_names_of_the_workers_own_folders_are_reserved() -> None:
    assert {UNCERTAIN, FAILED, DUPLICATES} <= set(RESERVED)


@pytest.mark.parametrize(
    "folder",
    [
        *RESERVED, "Uncertain", "FAILED", "Neither", "", " ", ".", "..", ".hidden", "a/b", "a\\b", "a\0b",
        "a\nb", "\udcff", " cats", "cats ", "\u202ecats", "x" * 201,
    ],
)  # fmt: skip
def test_an_unusable_folder_is_refused_with_the_remedy(folder: str) -> None:
    with pytest.raises(DatasetError, match="--folder LABEL=NAME"):
        check_folders({"cat": folder})


def test_neither_never_has_a_folder() -> None:
    with pytest.raises(DatasetError, match="class 'neither': it never has a folder"):
        check_folders({"cat": "cats", "neither": "others"})


@pytest.mark.parametrize("folder", ["cats", "Hunde", "chats & chiens", "猫", "a.b", "uncertain2", "x" * 200])
def test_any_other_name_is_fine(folder: str) -> None:
    assert why_not(folder) is None


@pytest.mark.parametrize(
    "folders", [{"cat": "Pets", "dog": "pets"}, {"cat": "caf\u00e9", "dog": "cafe\u0301"}]
)
def test_names_that_some_disks_take_for_one_are_refused(folders: Mapping[str, str]) -> None:
    with pytest.raises(DatasetError, match="same as"):
        check_folders(folders)


def test_two_classes_may_share_a_folder() -> None:
    check_folders({"cat": "pets", "dog": "pets"})


@pytest.mark.parametrize("name", ["uncertain", "Failed", "duplicates"])
def test_train_refuses_a_reserved_class_before_it_reads_a_photo(tmp_path: Path, name: str) -> None:
    from models.training.train import train

    for folder in ("cat", name):
        (tmp_path / "photos" / folder).mkdir(parents=True)
    options = TrainOptions(folders=[tmp_path / "photos"], out=tmp_path / "out", architecture="small_cnn")
    with pytest.raises(DatasetError, match=f"class '{name}': the folder name .* is reserved"):
        train(options)


def test_db_which_imports_no_models_has_the_same_word_for_neither() -> None:
    assert review.NEITHER == NEITHER
