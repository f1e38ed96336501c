from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.installation import install_command
from pipeline.alerts import channels
from tests.support.notified import Server, server

Run = Callable[..., Any]


@pytest.fixture
def notified() -> Iterator[Server]:
    with server() as found:
        yield found


def configure(folder: Path, *urls: str, heartbeat_url: str | None = None) -> None:
    notify = json.dumps({"urls": urls, "heartbeat_url": heartbeat_url, "quiet": "00:00-23:59"})
    (folder / "config.yaml").write_text(f"notify: {notify}", encoding="utf-8")


def test_a_test_is_sent_to_each_url_also_in_quiet_hours(run: Run, notified: Server, tmp_path: Path) -> None:
    configure(tmp_path, notified.url, notified.url, heartbeat_url=f"http://127.0.0.1:{notified.port}/ping")
    done = run("notify", "--test")
    assert (done.code, done.err) == (0, "")
    places = ("notify.urls.0 (JSON)", "notify.urls.1 (JSON)", "notify.heartbeat_url")
    assert done.out.splitlines() == [f"{place}: taken" for place in places]
    assert len(notified.messages) == 2 and "This is a test" in notified.messages[0]["message"]
    assert notified.fetched == ["/ping"]


def test_a_text_is_sent_and_what_is_not_taken_shows_in_the_exit_code(
    run: Run, notified: Server, tmp_path: Path
) -> None:
    configure(tmp_path, "json://127.0.0.1:1/hunter2", "nothing://hunter2", notified.url)
    done = run("notify", "--message", "The scanner is cleaned.", "--json")
    dead, unknown, well = json.loads(done.out)
    assert done.code == 1 and "hunter2" not in done.out + done.err
    assert (dead["taken"], unknown["taken"], well) == (
        False, False, {"to": "notify.urls.2 (JSON)", "taken": True, "problem": None}
    )  # fmt: skip
    assert notified.messages[0]["message"] == "The scanner is cleaned."


@pytest.mark.parametrize(
    ("words", "urls", "says"),
    [
        ((), ["json://h"], "expected either --test, or --message TEXT"),
        (("--test", "--message", "a"), ["json://h"], "expected either --test, or --message TEXT"),
        (("--test",), [], "there is no URL in the settings to send to"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    run: Run, tmp_path: Path, words: tuple[str, ...], urls: list[str], says: str
) -> None:
    configure(tmp_path, *urls)
    done = run("notify", *words)
    assert done.code == 2 and says in done.err


def test_config_check_names_the_place_of_a_url_that_is_unknown(run: Run, tmp_path: Path) -> None:
    configure(tmp_path, "json://127.0.0.1", "nothing://hunter2")
    done = run("config", "check")
    assert done.code == 2 and "notify.urls.1: nothing://***: Apprise does not know" in done.err


def test_without_apprise_check_and_notify_say_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "find_spec", lambda _: None)
    configure(tmp_path, "json://127.0.0.1")
    for words, code in ((("config", "check"), 0), (("notify", "--test"), 2)):
        done = run(*words)
        assert done.code == code and install_command(extra="notify") in done.err
