# ruff: noqa: E501
"""The bundle for support: what is needed to understand, and no photo, no name of one, no secret."""

from __future__ import annotations

import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import get_type_hints

import pytest

from pipeline.doctor import support_bundle
from pipeline.doctor.check import examine
from pipeline.settings.config import Settings
from pipeline.settings.sections import NotifySettings, WebSettings
from pipeline.worker.heartbeat import FILE_NAME, Heartbeat, InboxBeat
from tests.support.installation import Installation

SECRET, PASSWORD = "a token of sixteen characters", "hunter2hunter2"
NAMES = (
    "Anna at the beach.jpg", "it's \"mine\", isn't it.jpg", "kätzchen: eins.jpg", "=x'y.jpg", "plain_name.jpg",
    "two  spaces.jpg", "semi;colon (2).jpg",
)  # fmt: skip
CONTENT = b"\xff\xd8\xff the content of a photo that must not leave the machine"


@pytest.fixture
def troubled(pawsort: Installation, tmp_path: Path) -> Installation:
    """An installation whose every part names photos."""
    settings = pawsort.settings.model_copy(update={"web": WebSettings(token=SECRET)})
    pawsort.settings = settings
    for number, name in enumerate(NAMES):
        pawsort.file(os.fsencode(name), CONTENT + b"%d" % number)
    (settings.sorted / "cats" / NAMES[0]).unlink()
    (settings.sorted / "cats" / f"new {NAMES[4]}").write_bytes(CONTENT)
    beat = Heartbeat(
        pid=1, started_at=datetime.now(UTC), at=datetime.now(UTC), state="paused", health="red",
        reasons=(f"[Errno 28] No space left on device: '{settings.spool}/1' -> '{settings.sorted}/cats/{NAMES[1]}'",),
        inboxes=(InboxBeat(str(settings.inboxes[0]), "native", "degraded", f"{settings.inboxes[0]}/{NAMES[2]}: odd", 3),),
        last_file=NAMES[0],
    )  # fmt: skip
    beat.write(settings.state / FILE_NAME)
    lines = []
    for name in NAMES:
        path = f"{settings.inboxes[0]}/{name}"
        lines += [
            f"2026-11-21 06:52:51 WARNING cannot take {path!a}: Permission denied; trying again later",
            f"2026-11-21 06:52:51 WARNING isn't it odd: {name!a} is no photo",
            f"2026-11-21 06:52:51 INFO finished an interrupted move: {settings.sorted}/cats/{name} -> {path}",
            json.dumps(
                {"at": "2026-11-21T06:52:51Z", "level": "error", "message": f"{path} is gone: {name!a}"}
            ),
        ]
    (tmp_path / "worker.log").write_text("\n".join(lines), encoding="utf-8")
    return pawsort


def packed(pawsort: Installation, tmp_path: Path, names: bool = False, log: bool = True) -> dict[str, str]:
    findings = [problem.as_dict() for problem in examine(pawsort.engine, pawsort.settings)]
    path = tmp_path / f"bundle {names}.zip"
    support_bundle.pack(pawsort.settings, path, findings, names, tmp_path / "worker.log" if log else None)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode("utf-8") for name in archive.namelist()}


def test_no_photo_no_name_and_no_secret_is_in_it(troubled: Installation, tmp_path: Path) -> None:
    parts = packed(troubled, tmp_path)
    for part, text in parts.items():
        assert SECRET not in text, part
        assert CONTENT.decode("latin-1")[4:40] not in text, part
        for name in NAMES:
            pieces = (
                name,
                name[:-4],
                ascii(name)[1:-1],
                json.dumps(name)[1:-1],
                name.split()[-1][:-4],
                name[:6],
            )
            for piece in filter(lambda piece: len(piece) > 3, pieces):
                assert piece not in text, (part, piece, text[:3000])


def test_names_are_in_it_when_they_are_asked_for_and_secrets_still_are_not(
    troubled: Installation, tmp_path: Path
) -> None:
    text = "\n".join(packed(troubled, tmp_path, names=True).values())
    assert all(json.dumps(name, ensure_ascii=False)[1:-1] in text or name in text for name in NAMES)
    assert SECRET not in text


def test_a_password_of_the_database_is_not_in_it(pawsort: Installation, tmp_path: Path) -> None:
    pawsort.settings = pawsort.settings.model_copy(
        update={
            "database": f"postgresql://ann:{PASSWORD}@127.0.0.1:9/pawsort",
            "notify": NotifySettings(urls=(f"ntfy://{PASSWORD}",), heartbeat_url=f"https://h/{PASSWORD}"),
        }
    )
    path = tmp_path / "b.zip"
    support_bundle.pack(pawsort.settings, path, [], True, None)
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert all(PASSWORD not in text for text in texts.values())
    assert all(text in texts["settings.yaml"] for text in ("ann:***@", "ntfy://***", "https://h/***"))


def test_what_is_needed_to_understand_is_in_it(troubled: Installation, tmp_path: Path) -> None:
    parts = packed(troubled, tmp_path)
    assert set(parts) == {
        "about.json", "settings.yaml", "status.json", "heartbeat.json", "findings.json", "database.json",
        "folders.json", "model.yaml", "log.txt",
    }  # fmt: skip
    assert json.loads(parts["about.json"])["packages"]["pillow"]
    assert json.loads(parts["database.json"])["states"] == {"filed": len(NAMES)}
    assert json.loads(parts["database.json"])["schema_version"]
    assert {finding["kind"] for finding in json.loads(parts["findings.json"])} >= {"missing", "unrecorded"}
    assert json.loads(parts["folders.json"])[str(troubled.settings.sorted)] == {"cats": len(NAMES)}
    assert json.loads(parts["heartbeat.json"])["inboxes"][0]["path"] == str(troubled.settings.inboxes[0])
    assert "settle_seconds" in parts["settings.yaml"]
    assert "sha256" in parts["model.yaml"]
    first = parts["log.txt"].splitlines()[0]
    assert first.startswith(f"2026-11-21 06:52:51 WARNING cannot take '{troubled.settings.inboxes[0]}/name-")


def test_one_name_has_one_mark_within_a_bundle_and_another_in_the_next(pawsort: Installation) -> None:
    a, b = support_bundle._Hider(pawsort.settings), support_bundle._Hider(pawsort.settings)
    line = f"{pawsort.settings.sorted}/cats/rex.jpg"
    assert a.line(line) == a.line(line) != b.line(line)
    assert a.line(line).endswith(".jpg")


def test_what_cannot_be_found_out_says_so_and_the_rest_is_there(
    pawsort: Installation, tmp_path: Path
) -> None:
    pawsort.close()
    (pawsort.settings.state / "pawsort.db").write_bytes(b"no database " * 999)
    path = tmp_path / "b.zip"
    support_bundle.pack(pawsort.settings, path, [], False, None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "error" in json.loads(parts["database.json"])
    assert "error" in json.loads(parts["heartbeat.json"])
    assert "log.txt" not in parts
    assert "sorted" in parts["settings.yaml"]


def test_only_the_end_of_a_long_log_is_taken(pawsort: Installation, tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text("".join(f"line {n}\n" for n in range(5000)))
    lines = packed(pawsort, tmp_path)["log.txt"].splitlines()
    assert (len(lines), lines[-1]) == (support_bundle.LOG_LINES, "line 4999")


@pytest.mark.timeout(60)
def test_the_end_of_a_log_comes_through_a_pipe(pawsort: Installation, tmp_path: Path) -> None:
    text = "".join(f"line {n} {'x' * 500}\n" for n in range(5000)).encode()
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(text)

    with ThreadPoolExecutor(1) as pool, os.fdopen(reader):
        pool.submit(write)
        support_bundle.pack(pawsort.settings, tmp_path / "b.zip", [], False, Path(f"/dev/fd/{reader}"))
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        lines = bundle.read("log.txt").decode().splitlines()
    assert (len(lines), lines[0][:9], lines[-1][:9]) == (1000, "line 4000", "line 4999")


def test_a_pipe_or_device_is_no_log(pawsort: Installation, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "worker.log")
    for log in (tmp_path / "worker.log", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            support_bundle.pack(pawsort.settings, tmp_path / "b.zip", [], False, log)


def test_nothing_is_overwritten(pawsort: Installation, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    with pytest.raises(FileExistsError):
        support_bundle.pack(pawsort.settings, tmp_path / "b.zip", [], False, None)
    assert (tmp_path / "b.zip").read_text() == "mine"


def test_settings_have_no_secret_that_is_not_masked() -> None:
    """A new setting that holds one must be masked too; so their names are kept here."""
    hints = get_type_hints(Settings)
    texts = {name for name in Settings.model_fields if hints[name] in (str, str | None)}
    assert texts == {"database", "model", "worker"}
