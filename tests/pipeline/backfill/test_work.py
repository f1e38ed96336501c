"""Doing one part."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.backfill import parts, work
from pipeline.backfill.parts import Result
from pipeline.backfill.source import FolderSource, Listed
from pipeline.backfill.work import WAITS
from pipeline.classifier import classify_files
from pipeline.classifier.messages import ClassificationResult, Item
from tests.pipeline.backfill.conftest import ANSWERS, NOW, Archive
from tests.support.stub_classifier import BUNDLE, BrokenClassifier, StubClassifier


def _results(archive: Archive, number: int = 0) -> list[Result]:
    return parts.read_results(archive.run, number)


def test_a_part_is_decided_as_classify_decides(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.put(*ANSWERS, b"<crash>", b"<hang>")
    archive.plan(10)
    done = archive.worker().do(0)
    assert (done.part, done.photos, done.problem) == (0, 7, None)
    monkeypatch.setattr(classify_files, "ProcessClassifier", lambda *_: StubClassifier())
    said = list(classify_files.classify(archive.settings, [str(archive.photos)], bundle=BUNDLE))
    assert [row.outcome for row in said] == ["cats", "dogs", "uncertain", "uncertain", *["failed"] * 3]
    assert [
        (row.path, row.prediction, row.confidence, row.outcome, row.reason, row.scores) for row in said
    ] == [
        (
            str(archive.photos / os.fsdecode(row.path)),
            *(row.prediction, row.confidence, row.outcome, row.reason, row.scores),
        )
        for row in _results(archive)
    ]


def test_a_row_says_which_version_of_the_file_it_is_of(archive: Archive) -> None:
    [path] = archive.put(b"<cat>")
    archive.plan()
    archive.worker().do(0)
    status = path.stat()
    [row] = _results(archive)
    assert (row.dev, row.ino, row.bytes, row.mtime_ns) == (
        *(status.st_dev, status.st_ino),
        *(status.st_size, status.st_mtime_ns),
    )
    assert (row.id, row.path, row.decided_at, row.format) == (0, b"000.jpg", NOW, "JPEG")
    assert row.sha256 and len(row.sha256) == 64
    assert row.answer_key != archive.work().answer_key  # which knows no engine


def test_a_file_that_changed_since_it_was_listed_has_its_new_version(archive: Archive) -> None:
    _, second = archive.put(b"<cat>", b"<cat>")
    archive.plan()
    second.write_bytes(b"<dog> now")
    archive.worker().do(0)
    assert [(row.outcome, row.bytes) for row in _results(archive)] == [("cats", 5), ("dogs", 9)]


class ChangingClassifier(StubClassifier):
    """Changes each file once it has been read, `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def poll(self, timeout: float) -> list[ClassificationResult]:
        items: list[Item] = list(self._flying[0]) if self._flying else []
        results = super().poll(timeout)
        for _, path in items if self.times else ():
            with open(path, "ab") as file:
                file.write(b"<dog>")
        self.times -= bool(self.times and items)
        return results


@pytest.mark.parametrize(("times", "outcome"), [(1, "cats"), (9, "failed")])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    archive: Archive, times: int, outcome: str
) -> None:
    archive.put(b"<cat>")
    archive.plan()
    archive.worker(classifier=ChangingClassifier(times)).do(0)
    [row] = _results(archive)
    assert row.outcome == outcome
    assert row.reason == (None if times == 1 else "unreadable")
    if times == 1:
        assert row.bytes == (archive.photos / "000.jpg").stat().st_size


def test_a_file_that_is_gone_fails_alone(archive: Archive) -> None:
    first, _ = archive.put(b"<cat>", b"<dog>")
    archive.plan()
    first.unlink()
    assert archive.worker().do(0).problem is None
    assert [(row.reason, row.mtime_ns > 0) for row in _results(archive)] == [
        ("unreadable", False),
        (None, True),
    ]


def test_a_part_without_any_of_its_files_is_not_done(archive: Archive) -> None:
    """As where the disk below a folder of the source is not mounted."""
    paths = archive.put(*[b"<cat>"] * 11)
    archive.plan(20)
    for path in paths[:-1]:
        path.unlink()
    assert archive.worker().do(0).problem is None
    paths[-1].unlink()
    (archive.run / "results" / "part-00000.parquet").unlink()
    (archive.photos / "other.jpg").touch()
    done = archive.worker().do(0)
    assert done.problem is not None
    assert "none of its photos is there" in done.problem
    assert archive.files() == set()


def test_a_source_that_is_away_is_waited_for(archive: Archive) -> None:
    archive.put(b"<cat>")
    archive.plan()
    away = archive.photos.with_name("away")

    class Returning(FolderSource):
        def check(self) -> None:
            if len(archive.waited) == 2:
                away.rename(archive.photos)
            super().check()

    worker = archive.worker(Returning(os.fsencode(archive.photos)))
    archive.photos.rename(away)
    assert worker.do(0).problem is None
    assert archive.waited == [*WAITS[:2]]


def test_a_source_that_stays_away_is_a_problem_of_the_part(archive: Archive) -> None:
    archive.put(b"<cat>")
    archive.plan()
    worker = archive.worker()
    for path in archive.photos.iterdir():
        path.unlink()
    done = worker.do(0)
    assert done.problem is not None
    assert str(archive.photos) in done.problem
    assert not done.is_final
    assert archive.waited == list(WAITS)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_an_error_of_the_share_is_no_answer(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    archive.put(b"<cat>", b"<dog>")
    archive.plan()
    real, failing = work.fingerprint, [True]

    def fingerprint(path: bytes, *more: object) -> object:
        if failing and path.endswith(b"001.jpg"):
            raise OSError(code, os.strerror(code))
        return real(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "fingerprint", fingerprint)
    done = archive.worker().do(0)
    if code == errno.EIO:  # of this file alone at the last attempt: its disk is damaged
        assert (done.problem, _results(archive)[1].reason) == (None, "unreadable")
    else:
        assert done.problem is not None
        assert "001.jpg: Stale file handle" in done.problem
    assert archive.waited == list(WAITS)


def test_an_attempt_that_fails_leaves_no_answers_to_the_next(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(*ANSWERS, *ANSWERS)
    archive.plan(10)
    real, failing = work.fingerprint, [True]

    def fingerprint(path: bytes, *more: object) -> object:
        if failing:
            failing.pop()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "fingerprint", fingerprint)
    assert archive.worker().do(0).problem is None
    outcomes = [row.outcome for row in _results(archive)]
    assert outcomes == [*(["cats", "dogs", "uncertain", "uncertain", "failed"] * 2)]


def test_a_list_that_cannot_be_read_is_a_problem_of_the_part(archive: Archive) -> None:
    archive.put(b"<cat>", b"<dog>", b"<cat>")
    archive.plan()
    worker = archive.worker()
    parts.list_file(archive.run, 0).write_bytes(b"")
    assert "part-00000.parquet: is damaged" in (worker.do(0).problem or "")
    assert worker.do(1).problem is None


def test_a_part_that_a_lost_machine_has_done_is_not_done_again(archive: Archive) -> None:
    archive.put(b"<cat>", b"<dog>")
    archive.plan()
    archive.worker().do(0)
    before = parts.results_file(archive.run, 0).stat().st_ino
    done = archive.worker().do(0)
    assert (done.part, done.photos, done.problem) == (0, 2, None)
    assert parts.results_file(archive.run, 0).stat().st_ino == before


@pytest.mark.parametrize("change", [{"version": "0.1.0"}, {"answer_key": "0" * 16}])
def test_a_machine_that_would_answer_otherwise_does_no_part(
    archive: Archive, change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(b"<cat>")
    archive.plan()
    other = replace(archive.work(), **change)
    monkeypatch.setattr(Archive, "work", lambda _: other)
    done = archive.worker().do(0)
    assert done.is_final
    assert archive.files() == set()


def test_a_classifier_that_refuses_its_model_ends_the_run(archive: Archive) -> None:
    archive.put(b"<cat>")
    archive.plan()
    done = archive.worker(classifier=StubClassifier(refusal="was replaced")).do(0)
    assert done.is_final
    assert (done.problem or "").endswith("was replaced")


def test_a_classifier_that_always_ends_fails_each_file(archive: Archive) -> None:
    archive.put(b"<cat>", b"<dog>")
    archive.plan()
    archive.worker(classifier=BrokenClassifier()).do(0)
    assert [row.reason for row in _results(archive)] == ["decoder_crashed"] * 2


class Bucket:
    """Objects that are fetched into the staging folder."""

    name = "s3://bucket"
    fetches = 2

    def __init__(self, objects: dict[bytes, bytes]) -> None:
        self._objects = objects
        self.staged: list[int] = []

    def list(self) -> Iterator[Listed]:
        for path, content in sorted(self._objects.items()):
            yield Listed(path, len(content), 7)

    def local(self, listed: Listed, staging: Path) -> bytes:
        path = staging / os.fsdecode(listed.path)
        path.write_bytes(self._objects[listed.path])
        os.utime(path, ns=(7, 7))
        self.staged.append(len(os.listdir(staging)))
        return os.fsencode(path)

    def check(self) -> None:
        pass


def test_what_is_fetched_is_removed_when_it_is_answered(archive: Archive) -> None:
    bucket = Bucket({b"%02d.jpg" % n: b"<cat>" for n in range(20)})
    archive.put(b"<cat>")
    archive.plan()
    parts.write_list(archive.run, parts.Part(1, 1, tuple(bucket.list())))
    assert archive.worker(bucket).do(1).problem is None
    # Two batches of two in flight, what of the third is not answered, and what is fetched ahead.
    assert max(bucket.staged) <= 9
    assert os.listdir(archive.photos.with_name("staging")) == []
    row = _results(archive, 1)[0]
    assert (row.dev, row.ino, row.bytes, row.mtime_ns, row.outcome) == (0, 0, 5, 7, "cats")
