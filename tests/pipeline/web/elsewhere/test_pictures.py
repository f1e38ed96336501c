"""Pictures and originals of another machine's files: by a shared folder, by its pages, or not."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.settings.sections import WebSettings
from pipeline.web.elsewhere import owners_pages
from pipeline.web.elsewhere.owner import NotReachable, Owner
from pipeline.web.elsewhere.owners_pages import OWN_ONLY, OwnersPages
from tests.pipeline.requests.conftest import Two
from tests.pipeline.web.conftest import TestClient, client_of
from tests.support.live_server import running
from tests.support.machine import Machine
from tests.support.pictures import encode, scene

TOKEN = "correct horse battery"
IN_PAGE = {"Accept": "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"}


def photo(machine: Machine, name: bytes = b"a.jpg") -> tuple[int, bytes]:
    data = encode(scene(160 + machine.id, 120), "JPEG")
    return machine.file(name, data), data


@contextmanager
def bobs_pages(two: Two, token: str | None = None) -> Iterator[str]:
    settings = two.bob.settings.model_copy(update={"web": WebSettings(token=token)})
    with running(settings) as address:
        two.bob.beat(address=address)
        yield address


def test_a_picture_comes_from_the_pages_of_its_owner(two: Two) -> None:
    id, data = photo(two.bob)
    with bobs_pages(two, TOKEN), client_of(two.ann, token=TOKEN) as pages:
        pages.headers["Authorization"] = f"Bearer {TOKEN}"
        for size in ("small", "large"):
            got = pages.get(f"/pictures/{id}/{size}")
            assert (got.status_code, got.headers["content-type"]) == (200, "image/jpeg")
            assert got.content[:2] == b"\xff\xd8"
            assert (
                pages.get(
                    f"/pictures/{id}/{size}", headers={"If-None-Match": got.headers["etag"]}
                ).status_code
                == 304
            )
        assert pages.get(f"/pictures/{id}/full").content == data
        original = pages.get(f"/files/{id}/original")
        assert original.content == data and 'filename="a.jpg"' in original.headers["content-disposition"]
        assert pages.get(f"/api/results/{id}/original").content == data
        assert pages.head(f"/files/{id}/original").headers["content-length"] == str(len(data))
    two.bob.beat()  # its pages are gone; the picture was kept here
    with client_of(two.ann) as pages:
        assert pages.get(f"/pictures/{id}/small").status_code == 503


def test_a_picture_that_was_fetched_is_kept(two: Two) -> None:
    id, _ = photo(two.bob)
    with client_of(two.ann) as pages:
        with bobs_pages(two):
            first = pages.get(f"/pictures/{id}/small").content
        assert pages.get(f"/pictures/{id}/small").content == first


def test_where_the_owner_cannot_be_reached_a_picture_says_where_the_photo_is(two: Two) -> None:
    id, _ = photo(two.bob)
    with client_of(two.ann) as pages:
        shown = pages.get(f"/pictures/{id}/small", headers=IN_PAGE)
        assert (shown.status_code, shown.headers["content-type"]) == (503, "image/svg+xml")
        assert "on bob" in shown.text and "not reachable" in shown.text
        assert shown.headers["cache-control"] == "no-store"
        asked = pages.get(f"/pictures/{id}/small")
        assert asked.json()["detail"].startswith("This photo is on bob: bob has no address")
        assert "is on bob" in pages.get(f"/files/{id}/original").json()["detail"]


def test_pages_that_hang_or_are_away_are_left_alone_for_a_while(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [photo(two.bob, b"%d.jpg" % n)[0] for n in range(3)]
    monkeypatch.setattr(owners_pages, "SECONDS", 0.2)
    calls: list[str] = []

    def hang(handler: BaseHTTPRequestHandler) -> None:
        calls.append(handler.path)
        released.wait(10)

    released = threading.Event()
    with other_server(hang) as address, client_of(two.ann) as pages:
        two.bob.beat(address=address)
        for id in ids:
            assert pages.get(f"/pictures/{id}/small").status_code == 503
        released.set()
    assert calls == [f"/pictures/{ids[0]}/small"]


@contextmanager
def other_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server at the address of bob's pages that is none of Pawsort."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sending(
    status: int, headers: dict[str, str], body: bytes = b"", seen: list[str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if seen is not None:
            seen.append(handler.path)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.fault(110)
def test_no_redirect_is_followed_and_no_other_content_shown(two: Two) -> None:
    id, _ = photo(two.bob)
    seen: list[str] = []
    with other_server(sending(200, {"Content-Type": "image/jpeg"}, b"x", seen)) as target:
        answers = (
            sending(302, {"Location": target + "/secret"}),
            sending(200, {"Content-Type": "text/html"}, b"<script>"),
            sending(200, {"Content-Type": "image/svg+xml"}, b"<svg/>"),
        )
        for answer in answers:
            with other_server(answer) as address, client_of(two.ann) as pages:
                two.bob.beat(address=address)
                got = pages.get(f"/pictures/{id}/small")
                assert got.status_code == 503
                assert "script" not in got.text
    assert seen == []


def test_a_picture_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners_pages, "MOST_BYTES", 1000)
    pages = OwnersPages(None)
    large = sending(200, {"Content-Type": "image/jpeg"}, b"x" * 2000)
    with other_server(large) as address, pytest.raises(NotReachable, match="too large"):
        pages.request(Owner(2, "bob", address), "/pictures/1/small").result(10)
    pages.close()


@pytest.mark.parametrize(
    "address", ["ftp://h/", "http://user:word@h/", "file:///etc/passwd", "http://", "http://[1"]
)
def test_an_address_that_is_none_of_pages_is_not_asked(address: str) -> None:
    pages = OwnersPages(None)
    with pytest.raises(NotReachable, match="cannot be used"):
        pages.request(Owner(2, "bob", address), "/").result(10)
    pages.close()


def test_a_machine_that_is_asked_asks_no_other(two: Two) -> None:
    id, _ = photo(two.bob)
    with bobs_pages(two), client_of(two.ann) as pages:
        for path in (f"/pictures/{id}/small", f"/files/{id}/original"):
            assert pages.get(path, headers={OWN_ONLY: "1"}).status_code == 404


def test_a_wrong_token_says_what_to_do(two: Two) -> None:
    id, _ = photo(two.bob)
    with bobs_pages(two, TOKEN), client_of(two.ann) as pages:
        assert "the same `web.token`" in pages.get(f"/pictures/{id}/small").json()["detail"]


def shared(two: Two, here: Path) -> TestClient:
    return client_of(two.ann, shared={"bob": {str(two.bob.settings.sorted): str(here)}})


def test_a_shared_folder_is_read_if_the_content_is_that_of_the_row(two: Two, tmp_path: Path) -> None:
    id, data = photo(two.bob)
    mount = tmp_path / "mnt"
    mount.symlink_to(two.bob.settings.sorted)
    with shared(two, mount) as pages:
        assert pages.get(f"/pictures/{id}/small").status_code == 200
        assert pages.get(f"/pictures/{id}/full").content == data
        assert pages.get(f"/files/{id}/original").content == data
        archive = zipfile.ZipFile(io.BytesIO(pages.post("/api/zip", json={"ids": [id]}).content))
        assert archive.namelist() == ["bob/cats/a.jpg"]
        assert archive.read("bob/cats/a.jpg") == data


@pytest.mark.fault(106)
def test_another_file_at_the_path_of_a_row_is_never_shown(two: Two) -> None:
    id, data = photo(two.bob)
    own = data[:-40] + bytes(40)  # of the same size, at the same path below `sorted`
    mine = two.ann.file(b"a.jpg", own)
    with shared(two, two.ann.settings.sorted) as pages:
        assert pages.get(f"/pictures/{id}/small").status_code == 503
        assert pages.get(f"/files/{id}/original").status_code == 503
        assert pages.get(f"/files/{mine}/original").content == own
        archive = zipfile.ZipFile(io.BytesIO(pages.post("/api/zip", json={"ids": [id, mine]}).content))
        assert sorted(archive.namelist()) == ["cats/a.jpg", "not included.txt"]
        assert "it is on bob; download it there" in archive.read("not included.txt").decode()


def test_a_shared_file_that_changes_is_checked_again(two: Two) -> None:
    id, data = photo(two.bob)
    with shared(two, two.bob.settings.sorted) as pages:
        assert pages.get(f"/files/{id}/original").content == data
        path = Path(two.bob.settings.sorted, "cats/a.jpg")
        path.write_bytes(data[:-1] + b"!")
        assert pages.get(f"/files/{id}/original").status_code == 503


def test_links_in_a_shared_folder_lead_nowhere(two: Two, tmp_path: Path) -> None:
    id, _ = photo(two.bob)
    mount = tmp_path / "mnt"
    (mount / "cats").mkdir(parents=True)
    (mount / "cats/a.jpg").symlink_to(Path(two.bob.settings.sorted, "cats/a.jpg"))
    with shared(two, mount) as pages:
        assert pages.get(f"/files/{id}/original").status_code == 503
