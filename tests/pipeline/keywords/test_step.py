"""The label of each filed photo stands in its sidecar, follows corrections, and leaves with an undo."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.errors import LockError, SettingsError
from pipeline.keywords import sidecar
from pipeline.keywords.packet import keyword_in, with_keyword
from pipeline.keywords.step import AGAIN_SECONDS, WAIT_SECONDS, KeywordStep
from pipeline.settings import config
from tests.pipeline.keywords.test_packet import LIGHTROOM
from tests.support.installation import QUICK, Installation

XMP = QUICK + "filing: {xmp: true}\n"
OTHER = LIGHTROOM.replace(b"</x:xmpmeta>", b"</x:xmpmeta>\n")


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    pawsort = Installation(tmp_path, XMP)
    yield pawsort
    pawsort.close()


def write(pawsort: Installation) -> None:
    """Write all keywords that are due, as the worker does between its steps."""
    step = KeywordStep(pawsort.engine, True, lambda: moves_lock(pawsort.settings, 0.0))
    for _ in range(20):
        step.advance()
        if step.idle:
            return
    raise AssertionError("never done")


def keywords(pawsort: Installation) -> dict[str, str | None]:
    """The keyword of Pawsort in each sidecar below `sorted`."""
    return {name: keyword_in(_path(pawsort, name).read_bytes()) for name in pawsort.sorted() if "xmp" in name}


def _path(pawsort: Installation, name: str) -> Path:
    return pawsort.settings.sorted / name


def recorded(pawsort: Installation) -> list[tuple[str, ...]]:
    return pawsort.rows("companions")


def test_each_filed_photo_has_its_label_in_a_new_sidecar_and_a_doubtful_one_has_none(
    pawsort: Installation,
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("b.jpg", b"<dog>")
    pawsort.drop("c.jpg", b"<unsure>")
    pawsort.drop("d.jpg", b"<corrupt>")
    pawsort.run_worker()
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat", "dogs/b.jpg.xmp": "dog"}
    assert recorded(pawsort)[:2] == [('["a.jpg.xmp"]',), ('["b.jpg.xmp"]',)]


def test_a_sidecar_of_another_program_gets_it_and_keeps_its_mode(pawsort: Installation) -> None:
    os.chmod(os.fsdecode(pawsort.drop("a.xmp", LIGHTROOM)), 0o604)
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    write(pawsort)
    assert _path(pawsort, "cats/a.xmp").read_bytes() == with_keyword(LIGHTROOM, "cat")
    assert stat.S_IMODE(_path(pawsort, "cats/a.xmp").stat().st_mode) == 0o604
    assert "cats/a.jpg.xmp" not in pawsort.sorted()


def test_a_new_sidecar_may_be_read_by_those_who_may_read_the_photo(pawsort: Installation) -> None:
    os.chmod(os.fsdecode(pawsort.drop("a.jpg", b"<cat>")), 0o664)
    pawsort.run_worker()
    write(pawsort)
    assert stat.S_IMODE(_path(pawsort, "cats/a.jpg.xmp").stat().st_mode) == 0o664


def test_a_correction_changes_it_at_once_and_its_undo_changes_it_back(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    write(pawsort)
    pawsort.correct(b"cats/a.jpg")
    assert keywords(pawsort) == {"dogs/a.jpg.xmp": "dog"}
    pawsort.undo(files=(b"dogs/a.jpg",))
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat"}
    pawsort.correct(b"cats/a.jpg", label="neither")
    assert keywords(pawsort) == {}


def test_undo_takes_it_out_and_the_inbox_is_as_it_was(pawsort: Installation) -> None:
    for name, data in {"a.jpg": b"<cat>", "a.jpg.xmp": LIGHTROOM, "b.jpg": b"<dog>"}.items():
        pawsort.drop(name, data)
    before = pawsort.tree()
    pawsort.run_worker()
    write(pawsort)
    assert [change.problem for change in pawsort.undo(2)] == [None, None]
    assert pawsort.tree() == before
    assert recorded(pawsort) == [('["a.jpg.xmp"]',), (None,)]


def test_an_undo_that_fails_puts_it_in_again(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    write(pawsort)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.corrections.recorded_move.moving.move", _refuse)
        [change] = pawsort.undo(1)
    assert change.problem
    assert keywords(pawsort) == {}
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat"}


def test_a_kill_within_an_undo_does_not_lose_it(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    write(pawsort)
    really = sidecar.write

    def then_killed(*given: Any) -> None:
        really(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sidecar, "write", then_killed)
        with pytest.raises(KeyboardInterrupt):
            pawsort.undo(1)
    assert keywords(pawsort) == {}
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat"}


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_photo_filed_without_the_setting_gets_none_later(pawsort: Installation) -> None:
    pawsort.file(b"old.jpg")
    write(pawsort)
    assert keywords(pawsort) == {}


def test_a_sidecar_that_is_not_understood_stays_as_it_is_and_is_said_once(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("a.xmp", b"<note>milk</note>")
    pawsort.run_worker()
    write(pawsort)
    write(pawsort)
    assert _path(pawsort, "cats/a.xmp").read_bytes() == b"<note>milk</note>"
    assert caplog.text.count("stays as it is") == 1
    assert [change.problem for change in pawsort.correct(b"cats/a.jpg")] == [None]


def test_a_kill_after_the_sidecar_and_before_the_ledger_changes_nothing(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.keywords.step.KeywordBook.write", _killed)
        with pytest.raises(KeyboardInterrupt):
            write(pawsort)
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat"}
    before = pawsort.tree()
    write(pawsort)
    assert pawsort.tree() == before
    assert recorded(pawsort) == [('["a.jpg.xmp"]',)]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_delays_it_and_loses_nothing(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("a.xmp", LIGHTROOM)
    pawsort.run_worker()
    now = [0.0]
    step = KeywordStep(pawsort.engine, True, lambda: moves_lock(pawsort.settings, 0.0), lambda: now[0])
    with monkeypatch.context() as patch:
        patch.setattr(sidecar, "replace_file", _full)
        step.advance()
        step.advance()
    assert caplog.text.count("No space") == 1
    assert _path(pawsort, "cats/a.xmp").read_bytes() == LIGHTROOM
    step.advance()
    assert keywords(pawsort) == {"cats/a.xmp": None}
    now[0] += WAIT_SECONDS
    step.advance()
    assert keywords(pawsort) == {"cats/a.xmp": "cat"}


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_sidecar_that_cannot_be_written_does_not_delay_those_of_later_photos(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        pawsort.drop(name, name.encode() + b"<cat>")
    pawsort.run_worker()
    link = _path(pawsort, "cats/a.jpg.xmp")
    link.symlink_to(link.name)
    now = [0.0]
    step = KeywordStep(pawsort.engine, True, lambda: moves_lock(pawsort.settings, 0.0), lambda: now[0])
    for _ in range(3):
        step.advance()
    assert step.idle
    assert keywords(pawsort) == {"cats/b.jpg.xmp": "cat", "cats/c.jpg.xmp": "cat"}
    assert caplog.text.count("is not written") == 1
    link.unlink()
    now[0] += AGAIN_SECONDS
    step.advance()
    assert keywords(pawsort).keys() == {"cats/a.jpg.xmp", "cats/b.jpg.xmp", "cats/c.jpg.xmp"}


def test_a_photo_whose_sidecar_would_have_too_long_a_name_has_none_and_it_is_said_once(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    pawsort.drop("a" * 249 + ".jpg", b"<cat>1")
    pawsort.drop("b" * 240 + ".jpg", b"<cat>2")
    pawsort.drop("c.jpg", b"<cat>3")
    pawsort.run_worker()
    write(pawsort)
    write(pawsort)
    assert keywords(pawsort) == {"cats/c.jpg.xmp": "cat"}
    assert caplog.text.count("too long for the disk") == 2
    assert [change.problem for change in pawsort.undo(3)] == [None] * 3


def test_of_two_sidecars_only_the_one_with_all_of_the_name_has_it(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.drop("a.xmp", LIGHTROOM)
    pawsort.run_worker()
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.xmp": "cat"}
    _path(pawsort, "cats/a.jpg.xmp").write_bytes(OTHER)
    pawsort.correct(b"cats/a.jpg")
    assert keywords(pawsort) == {"dogs/a.jpg.xmp": "dog", "dogs/a.xmp": None}
    pawsort.undo(files=(b"dogs/a.jpg",))
    pawsort.undo(files=(b"cats/a.jpg",))
    there = {path.name: path.read_bytes() for path in pawsort.inbox.iterdir()}
    assert there == {"a.jpg": b"<cat>", "a.xmp": LIGHTROOM, "a.jpg.xmp": OTHER}


def test_a_raw_has_a_sidecar_of_its_own_beside_the_picture_of_another_inbox(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<cat>1")
    pawsort.drop("a.xmp", LIGHTROOM)
    pawsort.run_worker()
    pawsort.drop("a.dng", b"<cat>2", inbox=1)
    pawsort.run_worker()
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.xmp": "cat", "cats/a.dng.xmp": "cat"}
    pawsort.undo(files=(b"cats/a.dng",))
    assert keywords(pawsort) == {"cats/a.xmp": "cat"}


def test_a_link_whose_original_is_gone_has_it_too(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, QUICK + "filing: {xmp: true, action: symlink}\n")
    pawsort.drop("a.jpg", b"<cat>1")
    pawsort.drop("b.jpg", b"<cat>2")
    pawsort.run_worker()
    (pawsort.inbox / "a.jpg").unlink()
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.jpg.xmp": "cat", "cats/b.jpg.xmp": "cat"}
    pawsort.close()


def test_while_a_command_moves_photos_it_waits(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()

    def taken() -> AbstractContextManager[None]:
        raise LockError("in use")

    for lock, there in ((taken, False), (nullcontext, True)):
        step = KeywordStep(pawsort.engine, True, lock)
        step.advance()
        assert (keywords(pawsort) != {}) == there


def test_it_needs_companions_that_travel(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("filing: {xmp: true, companions: false}\n")
    with pytest.raises(SettingsError, match="companions: true"):
        config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize("action", ["copy", "hardlink", "symlink"])
def test_the_sidecar_of_an_original_that_stays_is_never_written(tmp_path: Path, action: str) -> None:
    pawsort = Installation(tmp_path, QUICK + f"filing: {{xmp: true, action: {action}}}\n")
    for name, data in {"a.jpg": b"<cat>", "a.xmp": LIGHTROOM, "b.jpg": b"<dog>"}.items():
        pawsort.drop(name, data)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in pawsort.inbox.iterdir()}
    pawsort.run_worker()
    write(pawsort)
    assert keywords(pawsort) == {"cats/a.xmp": "cat", "dogs/b.jpg.xmp": "dog"}
    pawsort.correct(b"cats/a.jpg")
    assert keywords(pawsort) == {"dogs/a.xmp": "dog", "dogs/b.jpg.xmp": "dog"}
    pawsort.undo(files=(b"dogs/a.jpg",))
    assert [c.problem for c in pawsort.undo(files=(b"cats/a.jpg", b"dogs/b.jpg"))] == [None, None]
    assert pawsort.sorted() == set()
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in pawsort.inbox.iterdir()} == before
    pawsort.close()
