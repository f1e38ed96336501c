from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from collections.abc import Callable

import pytest

from pipeline.files import copy, moves, renames
from tests.pipeline.files.conftest import listing, put, read, refuse
from tests.support.crash import Mortal

# --- move across file systems ---


def test_move_across_keeps_content_mode_and_time(home: bytes, abroad: bytes) -> None:
    content = os.urandom((1 << 20) + 7)
    source = put(home + b"/a", content)
    os.chmod(source, 0o640)
    os.utime(source, ns=(1, 1_234_567_891))
    with pytest.raises(OSError, match="cross-device"):
        moves.rename(source, abroad + b"/b")
    moves.move(source, abroad + b"/b")
    found = os.stat(abroad + b"/b")
    assert read(abroad + b"/b") == content
    assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (1_234_567_891, 0o640)
    assert (listing(home), listing(abroad)) == ([], [b"b"])


_NO = 2**32 - 1
ACCESS = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, user)
    for tag, rights, user in [(1, 6, _NO), (2, 4, 1234), (4, 4, _NO), (16, 4, _NO), (32, 0, _NO)]
)
"""An access list as the kernel has it: the user 1234 may read too. Source: linux/posix_acl_xattr.h."""

EXTENDED = {"user.xdg.tags": b"cat,sofa", "user.empty": b"", "system.posix_acl_access": ACCESS}


def with_extended(path: bytes) -> bytes:
    try:
        for name, value in EXTENDED.items():
            os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    return path


def extended(path: bytes) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path) if name in EXTENDED}


def test_move_across_keeps_tags_and_access_list(home: bytes, abroad: bytes) -> None:
    with_extended(put(abroad + b"/probe"))
    source = with_extended(put(home + b"/a"))
    before = os.stat(source)
    moves.move(source, abroad + b"/b")
    found = os.stat(abroad + b"/b")
    assert extended(abroad + b"/b") == EXTENDED
    assert (found.st_mode, found.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EPERM, errno.ENOSPC, errno.E2BIG])
def test_a_disk_that_keeps_no_tags_takes_the_photo_and_is_said_once(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    sources = [with_extended(put(home + b"/%d" % number)) for number in range(3)]
    monkeypatch.setattr(copy, "_without", set())
    monkeypatch.setattr(os, "setxattr", refused)
    for source in sources:
        moves.move(source, abroad + b"/" + os.path.basename(source))
    assert listing(abroad) == [b"0", b"1", b"2"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert os.strerror(code) in caplog.text


def test_a_source_without_any_tags_is_moved_in_silence(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "listxattr", refused)
    moves.move(put(home + b"/a"), abroad + b"/a")
    assert (listing(abroad), caplog.records) == ([b"a"], [])


@pytest.mark.fault(68)
def test_move_across_never_overwrites(home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = put(home + b"/a", b"new"), put(abroad + b"/b", b"old")
    with pytest.raises(FileExistsError):
        moves.move(source, target)
    assert (read(source), read(target), listing(abroad)) == (b"new", b"old", [b"b"])


def test_a_name_taken_during_the_copy_is_kept(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_copy(descriptor: int, temporary: bytes) -> None:
        copy.copy(descriptor, temporary)
        put(abroad + b"/b", b"other")

    source = put(home + b"/a", b"new")
    monkeypatch.setattr(moves, "copy", slow_copy)
    with pytest.raises(FileExistsError):
        moves.move(source, abroad + b"/b")
    assert (read(source), read(abroad + b"/b"), listing(abroad)) == (b"new", b"other", [b"b"])


def test_a_file_written_to_during_the_copy_stays(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_copy(descriptor: int, temporary: bytes) -> None:
        copy.copy(descriptor, temporary)
        put(home + b"/a", b"longer than before")

    monkeypatch.setattr(moves, "copy", slow_copy)
    with pytest.raises(moves.SourceChangedError):
        moves.move(put(home + b"/a"), abroad + b"/b")
    assert (listing(abroad), read(home + b"/a")) == ([], b"longer than before")


def test_a_file_replaced_after_the_copy_stays(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(folders: list[bytes]) -> None:
        os.unlink(home + b"/a")
        put(home + b"/a", b"next")

    monkeypatch.setattr(moves, "sync_folders", late)
    moves.move(put(home + b"/a"), abroad + b"/b")
    assert (read(home + b"/a"), read(abroad + b"/b")) == (b"next", b"cat")


@pytest.mark.fault(68)
def test_a_bad_copy_is_noticed(home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "_write_all", lambda target, chunk: os.write(target, b"dog"))
    with pytest.raises(OSError, match="does not match"):
        moves.move(put(home + b"/a", b"cat"), abroad + b"/b")
    assert (listing(home), listing(abroad)) == ([b"a"], [])


@pytest.mark.fault(63, 68)
def test_the_copy_is_durable_before_the_source_goes(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    source, fsync, unlink, rename = put(home + b"/a"), os.fsync, os.unlink, renames._rename_noreplace

    def logged_fsync(descriptor: int) -> None:
        calls.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def logged_rename(a: bytes, b: bytes) -> None:
        rename(a, b)
        calls.append("rename")

    def logged_unlink(path: bytes, **kwargs: int) -> None:
        unlink(path, **kwargs)
        calls.append("unlink source" if path == source else "unlink")

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "unlink", logged_unlink)
    monkeypatch.setattr(renames, "_rename_noreplace", logged_rename)
    moves.move(source, abroad + b"/b")
    assert calls == ["fsync file", "rename", "fsync folder", "unlink source"]


def test_a_folder_that_cannot_be_synced_leaves_the_source(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "sync_folders", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        moves.move(put(home + b"/a"), abroad + b"/b")
    assert (listing(home), listing(abroad)) == ([b"a"], [])


@pytest.mark.fault(64)
def test_no_space_leaves_the_source_and_no_rest(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "_write_all", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        moves.move(put(home + b"/a"), abroad + b"/b")
    assert (listing(home), listing(abroad)) == ([b"a"], [])


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: os.symlink(b"/etc/passwd", path)], ids=["fifo", "link"]
)
def test_only_regular_files_are_copied(home: bytes, abroad: bytes, make: Callable[[bytes], None]) -> None:
    make(home + b"/a")
    with pytest.raises(OSError):
        moves.move(home + b"/a", abroad + b"/b")
    assert (listing(home), listing(abroad)) == ([b"a"], [])


# --- killed and resumed ---


@pytest.mark.parametrize("target", ["home", "abroad"])
@pytest.mark.fault(68)
def test_killed_anywhere_a_move_is_resumed(
    home: bytes,
    abroad: bytes,
    target: str,
    way: str,
    mortal: Mortal,
) -> None:
    source, folder = home + b"/in/a", (home + b"/out" if target == "home" else abroad)
    os.makedirs(folder, exist_ok=True)
    wanted = hashlib.sha256(b"cat").hexdigest()
    for n in range(100):
        put(source)
        died = mortal.dies_at(n, lambda: moves.move(source, folder + b"/b"))
        if way == "placeholder" and os.path.lexists(folder + b"/b") and not read(folder + b"/b"):
            os.unlink(folder + b"/b")  # the one thing that is left to people
        moves.resume(source, folder + b"/b", wanted)
        assert (listing(home + b"/in"), listing(folder)) == ([], [b"b"])
        assert read(folder + b"/b") == b"cat"
        os.unlink(folder + b"/b")
        if not died:
            break
    assert n >= 1


def test_resume_says_that_a_file_is_nowhere(home: bytes) -> None:
    with pytest.raises(FileNotFoundError):
        moves.resume(home + b"/a", home + b"/b", "0" * 64)


def test_resume_never_removes_the_only_name_of_a_file(home: bytes) -> None:
    path = put(home + b"/cats/a")
    os.symlink(b"cats", home + b"/link")
    for source, target in [(path, path), (path, home + b"/link/a"), (home + b"/link/a", path)]:
        moves.resume(source, target, moves.sha256(path))
        os.link(path, home + b"/other")
        moves.resume(source, target, moves.sha256(path))
        os.unlink(home + b"/other")
    assert listing(home + b"/cats") == [b"a"]


def test_resume_does_without_a_hash_where_none_is_known(home: bytes) -> None:
    moves.resume(put(home + b"/a"), home + b"/b", None)
    moves.resume(home + b"/a", home + b"/b", None)
    moves.resume(put(home + b"/a"), home + b"/b", None)
    assert listing(home) == [b"b"]
    with pytest.raises(FileExistsError):
        moves.resume(put(home + b"/a", b"dog"), home + b"/b", None)


@pytest.mark.parametrize("make", [put, os.mkdir, os.mkfifo, lambda path: os.symlink(b"a", path)])
def test_resume_keeps_what_took_the_place(home: bytes, make: Callable[[bytes], None]) -> None:
    source = put(home + b"/a", b"dog")
    make(home + b"/b")
    with pytest.raises(FileExistsError):
        moves.resume(source, home + b"/b", moves.sha256(source))
    assert listing(home) == [b"a", b"b"]


def test_leftovers_are_found_and_removed_only_when_the_original_has_all_of_them(home: bytes) -> None:
    original = put(home + b"/a", b"cats and dogs")
    part = put(home + b"/x/y/" + copy.TEMPORARY + b"1", b"cats")
    alone = put(home + b"/x/" + copy.TEMPORARY + b"2", b"birds")
    assert moves.is_leftover(part)
    assert not moves.is_leftover(original)
    assert moves.discard_leftover(part, original)
    assert not moves.discard_leftover(alone, original)
    assert [os.path.exists(path) for path in (part, alone, original)] == [False, True, True]


def test_probe_tells_whether_files_are_copied(home: bytes, abroad: bytes, way: str) -> None:
    os.mkdir(home + b"/spool")
    near = moves.probe_folder(home + b"/sorted/cats", home + b"/spool")
    far = moves.probe_folder(abroad, home + b"/spool")
    assert near.free > 0
    assert far.crosses
    assert not near.crosses
    assert listing(home + b"/spool") == listing(home + b"/sorted/cats") == listing(abroad) == []


def test_leftovers_of_a_killed_probe_are_removed_by_the_next(
    home: bytes, abroad: bytes, mortal: Mortal, way: str
) -> None:
    os.mkdir(home + b"/spool")
    for target in (home + b"/sorted/cats", abroad):
        step = 0
        while mortal.dies_at(step, lambda target=target: moves.probe_folder(target, home + b"/spool")):
            moves.probe_folder(target, home + b"/spool")
            assert listing(home + b"/spool") == listing(target) == []
            step += 1
        assert step > 2


def test_probe_refuses_a_file_and_a_rename_that_overwrites(
    home: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(moves.FolderError):
        moves.probe_folder(put(home + b"/file"), home)
    monkeypatch.setattr(renames, "_rename_noreplace", os.rename)
    with pytest.raises(OSError, match="over existing"):
        moves.probe_folder(home + b"/folder", home)


# --- looking ---


def test_sha256_and_identity_follow_no_links(home: bytes) -> None:
    put(home + b"/a", b"x" * 3_000_000)
    os.symlink(b"a", home + b"/b")
    os.mkfifo(home + b"/c")
    assert moves.sha256(home + b"/a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert moves.identity(home + b"/b")[1] == os.lstat(home + b"/b").st_ino
    for path in (home + b"/b", home + b"/c", home):
        with pytest.raises(OSError):
            moves.sha256(path)


def test_a_full_disk_is_named_though_a_write_does_not_say_where(
    home: bytes, abroad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = put(home + b"/a")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as raised:
        moves.move(source, abroad + b"/b")
    assert raised.value.filename == os.fsdecode(abroad)
    assert (listing(home), listing(abroad)) == ([b"a"], [])
