from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.files import moves
from pipeline.files.permissions import limited
from pipeline.settings.config import Settings
from pipeline.settings.sections import WatchSettings
from pipeline.web.middleware.problems import Problem
from pipeline.web.services import delivery as delivering
from pipeline.web.services.database import DatabaseProvider
from pipeline.web.services.delivery import Delivery, UploadDelivery, extension
from pipeline.web.services.uploads import Upload
from tests.support.installation import SMALL, Installation
from tests.support.oracle import conserved, digest


class Desk:
    """Uploads as `received` leaves them, and who delivers them."""

    def __init__(self, settings: Settings) -> None:
        self.inbox = settings.inboxes[0]
        self.store = DatabaseProvider(settings)
        self.porter = UploadDelivery(settings, self.store)
        self._made = 0

    def upload(self, data: bytes, name: str = "a.jpg") -> Upload:
        self._made += 1
        path = self.inbox / f".pawsort-upload-{os.getpid()}-{self._made}.part"
        path.write_bytes(data)
        return Upload(path, name, len(data), digest(data))

    def deliver(self, data: bytes, key: str | None = None, name: str = "a.jpg") -> Delivery:
        return self.porter.deliver(self.upload(data, name), self.inbox, key)


@pytest.fixture
def desk(pawsort: Installation) -> Desk:
    return Desk(pawsort.settings)


def test_a_delivery_gets_a_new_name_and_an_image_extension(desk: Desk) -> None:
    delivery = desk.deliver(b"one", name="../../My cat.JPG")
    assert re.fullmatch(r"upload-\d{8}-\d{6}-[0-9a-f]{16}\.jpg", delivery.name)
    assert (desk.inbox / delivery.name).read_bytes() == b"one"
    assert [path.name for path in desk.inbox.iterdir()] == [delivery.name]


def test_an_upload_is_private_until_it_is_a_photo_in_an_inbox(desk: Desk) -> None:
    before = os.umask(0o022)
    try:
        with limited("private"):
            upload = desk.upload(b"one")
            assert upload.path.stat().st_mode & 0o777 == 0o600
            delivery = desk.porter.deliver(upload, desk.inbox)
        assert (desk.inbox / delivery.name).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "name", ["a.part", "a.tmp", "a.jpg.crdownload", "a", ".jpg~", "a.svg", "a.j/pg", "x\0.html"]
)
def test_no_other_ending_is_kept(name: str) -> None:
    assert extension(name) == ""


@pytest.mark.fault(108)
def test_it_is_durable_before_it_has_its_name_and_its_name_before_it_is_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for room, name in [(os, "fsync"), (moves, "rename"), (moves, "sync_folders")]:
        real = getattr(room, name)
        # fsync of the folder is inside of sync_folders, and has been counted by that
        monkeypatch.setattr(room, name, lambda *a, n=name, r=real: (steps.append(n), r(*a))[1])
    desk.deliver(b"one")
    assert steps[:3] == ["fsync", "rename", "sync_folders"]


def test_a_name_that_is_taken_is_never_written_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stems = iter(["upload-1", "upload-1", "upload-2"])
    monkeypatch.setattr(delivering, "_new_stem", lambda: next(stems))
    names = [desk.deliver(data).name for data in (b"one", b"two")]
    assert names == ["upload-1.jpg", "upload-2.jpg"]
    assert (desk.inbox / "upload-1.jpg").read_bytes() == b"one"


@pytest.mark.fault(109)
def test_the_same_key_brings_one_file_before_and_after_the_worker_took_it(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, SMALL)
    desk = Desk(pawsort.settings)
    first = desk.deliver(b"1<cat>", "my key", "a.jpg")
    again = desk.deliver(b"1<cat>", "my key", "a.png")
    assert (first.already, again.already, again.name) == (False, True, first.name)
    (desk.inbox / f".pawsort-upload-{os.getpid()}-2.part").unlink()
    pawsort.run_worker()
    late = desk.upload(b"1<cat>")
    filed = desk.porter.deliver(late, desk.inbox, "my key")
    late.path.unlink()
    assert (filed.already, filed.id, filed.name) == (True, 1, first.name)
    conserved(pawsort.settings, [b"1<cat>"])
    desk.store.close()
    pawsort.close()


def test_in_a_divided_inbox_an_upload_is_of_the_part_of_this_machine(tmp_path: Path) -> None:
    """Else another worker has taken it, and the same key would bring it again."""
    desks = []
    for part in (1, 2):
        shared = SMALL.replace("[inbox, scans]", f"[{{path: ../shared, share: {part}/2}}]")
        pawsort = Installation(tmp_path / f"{part}", shared)
        desks.append((pawsort, Desk(pawsort.settings)))
    (pawsort, desk), (other, _) = desks
    keys = [None, *(f"key {number}" for number in range(8))]
    names = [desk.deliver(b"%d<cat>" % number, key).name for number, key in enumerate(keys)]
    other.run_worker()
    pawsort.run_worker()
    assert other.rows("name") == []
    again = [desk.deliver(b"%d<cat>" % number, key) for number, key in enumerate(keys) if key]
    assert [(each.already, each.name) for each in again] == [(True, name) for name in names[1:]]
    for each, its in desks:
        its.store.close()
        each.close()


def test_a_key_is_for_one_file(desk: Desk) -> None:
    desk.deliver(b"one", "key")
    with pytest.raises(Problem, match="another file") as problem:
        desk.deliver(b"two", "key")
    assert problem.value.status_code == 422


@pytest.mark.fault(109)
@pytest.mark.parametrize(("key", "deliveries"), [(None, 100), ("key", 1)])
def test_a_hundred_at_once_are_a_hundred_deliveries_or_one_with_a_key(
    desk: Desk, key: str | None, deliveries: int
) -> None:
    uploads = [desk.upload(b"one") for _ in range(100)]
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda upload: desk.porter.deliver(upload, desk.inbox, key), uploads))
    arrived = [path for path in desk.inbox.iterdir() if not path.name.startswith(".")]
    assert len(arrived) == deliveries == sum(not delivery.already for delivery in done)
    assert desk.porter._keys == {}


def test_names_that_the_settings_ignore_are_refused_rather_than_left_for_ever(pawsort: Installation) -> None:
    settings = pawsort.settings.model_copy(update={"watch": WatchSettings(ignore=("upload-*",))})
    with pytest.raises(Problem) as problem:
        Desk(settings).deliver(b"one")
    assert problem.value.status_code == 409
