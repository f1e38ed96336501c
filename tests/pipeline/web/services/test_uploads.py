from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import tracemalloc
from collections import namedtuple
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from pipeline.files.in_progress import create_in
from pipeline.settings.sections import LimitSettings
from pipeline.watch.ignore_rules import is_temporary
from pipeline.web.middleware.body_limits import SILENCE_SECONDS, BodyLimiter
from pipeline.web.middleware.problems import Problem
from pipeline.web.services import uploads
from pipeline.web.services.uploads import LOCK, PREFIX, received, sweep

LIMITS = LimitSettings(file_mb=0.01)
KIND = b"multipart/form-data; boundary=b"


def part(content: bytes, name: str = "file", filename: str | None = "a.jpg") -> bytes:
    shown = f'; filename="{filename}"' if filename is not None else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode() + content + b"\r\n"


END = b"--b--\r\n"


async def take(
    folder: Path, chunks: Iterable[bytes], *, kind: bytes = KIND, leaves: bool = False, **headers: str
) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
    """What `received` makes of a body in these chunks: names and contents, and fields."""
    messages = ({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks)
    end = {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b""}
    left = itertools.chain(messages, [end])

    async def receive() -> Any:
        return next(left)

    raw = [(b"content-type", kind), *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw, "query_string": b""}
    async with received(Request(scope, receive), folder, LIMITS) as form:
        assert all(is_temporary(os.fsencode(upload.path.name)) for upload in form.files)
        return [(upload.name, upload.path.read_bytes()) for upload in form.files], form.fields


def taken(folder: Path, *chunks: bytes, **more: Any) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
    return asyncio.run(take(folder, chunks, **more))


def refused(folder: Path, *chunks: bytes, **more: Any) -> int:
    with pytest.raises(Problem) as problem:
        taken(folder, *chunks, **more)
    assert list(folder.iterdir()) == [], "something was left behind"
    return problem.value.status_code


def test_files_and_fields_are_taken_and_nothing_stays(tmp_path: Path) -> None:
    body = part(b"cats", "model", None) + part(b"one") + part(b"", filename="b.jpg") + END
    assert taken(tmp_path, body) == ([("a.jpg", b"one"), ("b.jpg", b"")], {"model": "cats"})
    assert list(tmp_path.iterdir()) == []


def test_a_body_may_come_byte_by_byte(tmp_path: Path) -> None:
    body = part(bytes(range(256))) + END
    files, _ = taken(tmp_path, *(body[i : i + 1] for i in range(len(body))))
    assert files == [("a.jpg", bytes(range(256)))]


@pytest.mark.fault(106)
@pytest.mark.parametrize(
    "name",
    ["../../x.jpg", "/etc/passwd", "..\\..\\x", "%2e%2e%2fx", "a\0b", "x" * 3000, ".htaccess", "<b>.jpg"],
)
def test_the_clients_name_is_never_one_on_our_disk(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    [(shown, _)], _ = taken(inside, part(b"x", filename=name) + END)
    assert len(shown) <= uploads.NAME_LETTERS
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


@pytest.mark.fault(107)
def test_a_file_that_is_too_large_is_refused_while_it_comes(tmp_path: Path) -> None:
    def endless() -> Iterable[bytes]:
        yield part(b"").removesuffix(b"\r\n")
        for _ in range(1000):
            yield b"x" * 5000
        raise AssertionError("it was read to its end")

    with pytest.raises(Problem) as problem:
        asyncio.run(take(tmp_path, endless()))
    assert problem.value.status_code == 413
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, *[part(b"x" * 9000)] * 5, END) == 413


@pytest.mark.fault(107)
def test_a_stated_length_that_is_too_large_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    assert refused(tmp_path, content_length="9999999") == 413


@pytest.mark.fault(107)
def test_ten_thousand_parts_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, *[part(b"x")] * 10_000, END) == 413
    assert refused(tmp_path, *[part(b"x")] * 101, END) == 413  # by their number alone
    assert refused(tmp_path, *[part(b"x", f"f{n}", None) for n in range(100)], END) == 413
    assert refused(tmp_path, *[part(b"x", "model", None)] * 100, END) == 413
    assert refused(tmp_path, part(b"x" * 5000, "model", None), END) == 413


def endless(*pieces: bytes) -> Iterator[bytes]:
    """Pieces of 8 kB of a body that goes on until the server stops reading, or 5 MB."""
    first, *rest = pieces
    yield first
    for _ in range(5_000_000 // 8192):
        yield b"".join(rest) * (8192 // len(b"".join(rest)))
    raise AssertionError("it was read to its end")


FIELD = part(b"x" * 4000, "model", None)


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param([part(b"x") + END, b"e"], id="an epilogue"),
        pytest.param([b"", b"p"], id="a preamble"),
        pytest.param([b"", b"\r\n"], id="line ends before the first boundary"),
        pytest.param([FIELD, FIELD], id="one field again and again"),
        pytest.param([part(b"", "m", None), part(b"", "m", None)], id="empty fields"),
        pytest.param([part(b"", "", None), part(b"", "", None)], id="fields without a name"),
        pytest.param([b'--b\r\nContent-Disposition: form-data; name="', b"n"], id="a long name"),
        pytest.param([b"--b\r\nX", b"x"], id="a long header name"),
        pytest.param([b"--b\r\n", b"X: y\r\n"], id="many headers"),
        pytest.param([b"--b", b" "], id="padding behind a boundary"),
        pytest.param([part(b""), part(b"")], id="empty files"),
        pytest.param([part(b"").removesuffix(b"\r\n"), b"\r\n--"], id="almost boundaries"),
    ],
)
def test_whatever_the_body_consists_of_it_is_not_read_for_ever(tmp_path: Path, body: list[bytes]) -> None:
    tracemalloc.start()
    peak = 0
    try:
        with pytest.raises(Problem) as problem:
            asyncio.run(take(tmp_path, endless(*body)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert problem.value.status_code in (400, 413)
    assert list(tmp_path.iterdir()) == []
    assert peak < 2_000_000


@pytest.mark.fault(107)
def test_a_request_takes_no_more_of_the_disk_than_its_files_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    write = uploads._FilePart.write

    def counted(self: uploads._FilePart, data: bytes) -> None:
        nonlocal most
        write(self, data)
        self.file.flush()
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))

    monkeypatch.setattr(uploads._FilePart, "write", counted)
    assert refused(tmp_path, *[part(b"x" * 9_000)] * 50, END) == 413
    assert most <= uploads.TOGETHER * LIMITS.file_bytes + 9_000


@pytest.mark.fault(108)
def test_a_disk_that_others_fill_meanwhile_keeps_its_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [uploads.RESERVE_BYTES * 2, uploads.RESERVE_BYTES - 1]
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: usage(free.pop(0)))
    monkeypatch.setattr(uploads, "LOOK_BYTES", 1000)
    assert refused(tmp_path, part(b"x" * 2000) + END) == 507


@pytest.mark.fault(107)
@pytest.mark.parametrize("length", [257, 5_000])
def test_a_long_boundary_is_refused(tmp_path: Path, length: int) -> None:
    kind = b"multipart/form-data; boundary=" + b"b" * length
    assert refused(tmp_path, b"--" + b"b" * length + b"--\r\n", kind=kind) == 400


@pytest.mark.parametrize("length", ["-1", "1e9", "\u0663", "9" * 4000, "", "0x10", "+5"])
def test_an_invalid_content_length_causes_no_server_error(tmp_path: Path, length: str) -> None:
    with contextlib.suppress(Problem):
        taken(tmp_path, part(b"x") + END, content_length=length)


@pytest.mark.fault(107)
@pytest.mark.parametrize("body", [b"", part(b"x"), part(b"x")[:-9], b"nonsense", b"--b\r\n\0: \r\n\r\n"])
def test_a_form_that_is_cut_off_or_not_understood_is_refused(tmp_path: Path, body: bytes) -> None:
    assert refused(tmp_path, body) == 400


def test_a_client_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    assert refused(tmp_path, part(b"x")[:-3], leaves=True) == 400


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/form-data", b"", b"application/json"])
def test_a_body_that_is_not_a_form_with_files_is_refused(tmp_path: Path, kind: bytes) -> None:
    assert refused(tmp_path, kind=kind) == 415


def test_files_come_in_one_field(tmp_path: Path) -> None:
    assert refused(tmp_path, part(b"x", "photo") + END) == 422


@pytest.mark.fault(108)
def test_without_room_a_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")(uploads.RESERVE_BYTES)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: usage)
    assert refused(tmp_path) == 507


@pytest.mark.fault(108)
def test_a_full_disk_refuses_the_upload_with_507(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads._FilePart, "write", full)
    assert refused(tmp_path, part(b"x") + END) == 507


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Problem) as problem:
        taken(tmp_path / "gone", part(b"x") + END)
    assert problem.value.status_code == 503


@pytest.mark.fault(107)
def test_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    left = f"{PREFIX}{2**30}-ab.part", f"{PREFIX}{os.getppid()}-ab.part", f"{PREFIX}0abc{LOCK}"
    lock, file = create_in(tmp_path, PREFIX, LOCK)
    kept = "a.jpg", f"{lock.name.removesuffix(LOCK)}-ab.part"
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"x")
    sweep(tmp_path)
    sweep(tmp_path / "gone")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, lock.name}, "a request receives them"
    file.close()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg"}


def test_what_a_request_receives_is_not_swept_by_another_server(tmp_path: Path) -> None:
    receiver = uploads._FormReceiver(tmp_path, LIMITS)
    receiver._disposition = b'form-data; name="file"; filename="a.jpg"'
    receiver._open()
    received = {path.name for path in tmp_path.iterdir()}
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == received and len(received) == 2
    receiver.discard()
    assert list(tmp_path.iterdir()) == []


# --- pace -----------------------------------------------------------------------------------------------


async def _never() -> Any:
    await asyncio.Event().wait()


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.middleware.body_limits.SILENCE_SECONDS", 0.01)
    with pytest.raises(Problem) as problem:
        asyncio.run(BodyLimiter(_never, None)())
    assert problem.value.status_code == 408


@pytest.mark.fault(107)
def test_a_body_that_trickles_is_not_taken() -> None:
    time = 0.0

    async def trickle() -> Any:
        nonlocal time
        time += 1.0
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read() -> None:
        meter = BodyLimiter(trickle, None, lambda: time)
        while True:
            await meter()

    with pytest.raises(Problem) as problem:
        asyncio.run(read())
    assert problem.value.status_code == 408
    assert SILENCE_SECONDS <= time < SILENCE_SECONDS + 3


def test_a_large_body_has_the_time_it_needs() -> None:
    time = 0.0

    async def steady() -> AsyncIterator[Any]:
        for left in range(300, -1, -1):
            yield {"type": "http.request", "body": b"x" * 4000, "more_body": left > 0}

    async def read() -> float:
        nonlocal time
        meter = BodyLimiter(steady().__anext__, None, lambda: time)
        for _ in range(301):
            time += 1.0
            await meter()
        return time

    assert asyncio.run(read()) == 301
