"""Odd and hostile entries of a folder, before a real worker."""

from __future__ import annotations

import os
import socket
import stat
import time
import unicodedata
from pathlib import Path

import pytest

from tests.support.forked_installation import ForkedInstallation
from tests.support.oracle import files_below, read

pytestmark = pytest.mark.timeout(300)


@pytest.mark.fault(24, 25, 26, 27, 29)
def test_an_entry_that_is_not_a_regular_file_stays_where_it_is(
    pawsort: ForkedInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret<cat>")
    os.mkfifo(pawsort.inbox / "fifo.jpg")
    for name, target in (("passwd.jpg", "/etc/passwd"), ("nowhere.jpg", "nowhere"), ("loop.jpg", "loop.jpg")):
        (pawsort.inbox / name).symlink_to(target)
    (pawsort.inbox / "folder").symlink_to(outside)
    monkeypatch.chdir(pawsort.inbox)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
    odd = ["fifo.jpg", "passwd.jpg", "nowhere.jpg", "loop.jpg", "folder", "socket.jpg"]
    if os.getuid() == 0:
        os.mknod("device.jpg", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        odd.append("device.jpg")
    pawsort.drop("deep.jpg/er.jpg/cat.jpg", b"deep<cat>")
    pawsort.start()
    pawsort.wait_until_filed()
    pawsort.ends_well()
    assert [pawsort.log.count(f"'{name}'") for name in odd] == [1] * len(odd)
    assert all(os.path.lexists(pawsort.inbox / name) for name in odd)
    assert (outside / "secret.jpg").read_bytes() == b"secret<cat>"


@pytest.mark.fault(28)
def test_a_hard_link_is_filed_and_its_other_name_keeps_its_content(
    pawsort: ForkedInstallation, tmp_path: Path
) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(b"<cat>")
    other.chmod(0o640)
    os.link(other, pawsort.inbox / "linked.jpg")
    pawsort.injected.append(b"<cat>")
    pawsort.start()
    pawsort.wait_until_filed()
    assert other.read_bytes() == b"<cat>"
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    pawsort.ends_well()


@pytest.mark.fault(30)
def test_a_file_swapped_for_a_link_at_any_moment_leads_nowhere(
    pawsort: ForkedInstallation, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret<cat>")
    pawsort.start()
    pawsort.wait_until_watching()
    path, until = pawsort.inbox / "a.jpg", time.monotonic() + 2.0
    while time.monotonic() < until:
        aside = pawsort.folder / "aside"
        aside.write_bytes(b"plain<cat>")
        aside.replace(path)
        aside.symlink_to(secret)
        aside.replace(path)
    path.unlink(missing_ok=True)
    pawsort.wait(lambda: not pawsort.rows("id", "state <> 'filed'"), "all to be filed")
    filed = [read(name) for name in files_below(pawsort.settings.sorted)]
    assert set(filed) <= {b"plain<cat>"}
    assert not [name for name in os.scandir(pawsort.settings.spool) if name.is_symlink()]
    assert secret.read_bytes() == b"secret<cat>"
    pawsort.injected = filed
    pawsort.ends_well()


@pytest.mark.fault(31)
def test_a_terabyte_of_nothing_is_refused_unread(pawsort: ForkedInstallation) -> None:
    with open(pawsort.inbox / "huge.jpg", "wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError as error:
            pytest.skip(f"no file of this size here: {error}")
    pawsort.start()
    pawsort.wait(lambda: pawsort.rows("id", "reason = 'too_large' AND state = 'filed'"), "the refusal", 10.0)
    [moved] = files_below(pawsort.settings.sorted)
    assert os.path.getsize(moved) == 1 << 40
    os.truncate(moved, 0)
    pawsort.drop("other.jpg", b"<cat>")
    pawsort.wait_until_filed(2)


@pytest.mark.fault(32)
def test_an_empty_file_is_waited_for_and_then_fails(pawsort: ForkedInstallation) -> None:
    pawsort.drop("empty.jpg", b"")
    pawsort.start()
    pawsort.wait_until_filed()
    assert pawsort.rows("outcome, reason") == [("failed", "empty")]
    pawsort.ends_well()


@pytest.mark.fault(33, 34, 35, 36, 37, 38, 39)
def test_names_of_every_kind_are_filed_as_they_are(pawsort: ForkedInstallation) -> None:
    names = [
        b"\xff\xfe.jpg",
        b"new\nline\r\ttab\x1b[31m.jpg",
        b'"quoted" <b>html & .jpg',
        "\u202egpj.txe.jpg".encode(),
        b"-rf.jpg",
        b"=HYPERLINK(1).jpg",
        b"@x.jpg",
        b"br[1].jpg",
        b"star*?.jpg",
        b"a.JPG",
        b"a.jpg",
        unicodedata.normalize("NFC", "\u00e9.jpg").encode(),
        unicodedata.normalize("NFD", "\u00e9.jpg").encode(),
        b"C" * 251 + b".jpg",
    ]
    for number, name in enumerate(names):
        pawsort.drop(name, b"%d<cat>" % number)
    for inbox, name in ((1, b"a.jpg"), (1, b"C" * 251 + b".jpg")):
        pawsort.drop(name, b"again" + name[:1] + b"<cat>", inbox)
    pawsort.start()
    pawsort.wait_until_filed()
    filed = [os.path.basename(path) for path in files_below(pawsort.settings.sorted)]
    assert set(names) <= set(filed)
    assert b"a (2).jpg" in filed
    assert b"C" * 247 + b" (2).jpg" in filed
    pawsort.ends_well()
    assert all(line[:2] == "20" for line in pawsort.log.splitlines()), "one record is one line"


@pytest.mark.fault(40)
def test_the_same_content_under_other_names_and_later_on_is_linked_to_the_first(
    pawsort: ForkedInstallation,
) -> None:
    for name in ("a.jpg", "b.jpg"):
        pawsort.drop(name, b"same<dog>")
    pawsort.start()
    pawsort.wait_until_filed()
    pawsort.drop("a.jpg", b"same<dog>")
    pawsort.wait_until_filed()
    first, *others = pawsort.rows("id, duplicate_of")
    assert first[1] is None
    assert {twin for _, twin in others} == {first[0]}
    assert pawsort.sorted() == {"dogs/a.jpg", "dogs/b.jpg", "dogs/a (2).jpg"}
    pawsort.ends_well()
