"""Photos are found below folders of any depth; what cannot be listed is not left out in silence."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.classifier import classify_files
from pipeline.classifier.classify_files import photos, preview
from pipeline.classifier.messages import ClassificationResult
from pipeline.files.safe_open import open_regular
from pipeline.settings import config
from tests.support.stub_classifier import BUNDLE
from tests.support.tree import deep


def found(*paths: Path) -> list[str]:
    return list(photos(map(str, paths), config.Settings()))


def test_files_come_before_the_folders_beside_them_and_both_by_name(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/x/3.jpg", "a/z.jpg", "c.jpg", ".hidden.jpg.part"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.jpg").symlink_to("c.jpg")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "fifo.jpg")
    names = ["c.jpg", "a/z.jpg", "a/x/3.jpg", "b/1.jpg", "b/2.jpg"]
    assert found(tmp_path) == [str(tmp_path / name) for name in names]


def test_a_link_that_is_named_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bytes] = []

    def note(_: object, paths: Iterable[bytes], *__: object) -> list[ClassificationResult]:
        given.extend(paths)
        return [ClassificationResult(id, None, None, "empty") for id in range(len(given))]

    monkeypatch.setattr(classify_files, "classify_files", note)
    settings = config.Settings(decision=config.DecisionSettings(min_confidence=0.9))
    (tmp_path / "link.jpg").symlink_to("cat.jpg")
    (tmp_path / "cat.jpg").touch()
    named = [str(tmp_path / "link.jpg"), str(tmp_path / "cat.jpg")]
    answers = classify_files.classify(settings, named, bundle=BUNDLE)
    assert [answer.path for answer in answers] == named
    assert given == [os.fsencode(tmp_path / "cat.jpg")] * 2


@pytest.mark.parametrize(("levels", "name"), [(30, "d" * 200), (1_200, "d")])
def test_a_photo_is_found_and_opened_at_any_depth(tmp_path: Path, levels: int, name: str) -> None:
    try:
        path = deep(tmp_path, levels, name, "cat.png")
        assert found(tmp_path) == [path]
        descriptor, status = open_regular(os.fsencode(path))
        os.close(descriptor)
        assert status.st_size > 50
    finally:  # `shutil.rmtree`, with which pytest cleans up, calls itself for each level
        subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True)


def test_a_folder_that_cannot_be_listed_counts_as_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "cat.jpg").touch()
    real = classify_files.open_any

    def refuse(folder: bytes) -> int:
        if folder.endswith(b"closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(folder)

    monkeypatch.setattr(classify_files, "open_any", refuse)
    assert found(tmp_path) == [str(tmp_path / "cat.jpg"), str(tmp_path / "closed")]


def test_a_preview_names_an_inbox_that_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "config.yaml").touch()
    assert list(preview(config.load(tmp_path / "config.yaml"))) == []
    assert f"{tmp_path / 'inbox'}: is missing" in caplog.text
