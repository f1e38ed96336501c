"""Messages are delivered by a thread that waits for servers, so that the worker never does."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pipeline.alerts.channels import check, open_all
from pipeline.alerts.heartbeat_ping import HeartbeatPing
from pipeline.alerts.message import Message, of_user
from pipeline.alerts.outbox import MOST
from pipeline.alerts.sender import SLOW_SECONDS, Sender
from pipeline.errors import SettingsError
from tests.support.installation import wait
from tests.support.notified import START, server


class Channel:
    """A channel that takes what it is given, unless it has a problem; `blocked` lets it wait."""

    def __init__(self, key: str, problem: str | None = None) -> None:
        self.key = self.place = key
        self.problem = problem
        self.tried: list[str] = []
        self.blocked = threading.Event()
        self.blocked.set()

    def send(self, message: Message) -> str | None:
        self.tried.append(message.body)
        self.blocked.wait()
        return self.problem


class Clocks:
    seconds = 0.0
    now = START


def sender(clocks: Clocks, *channels: Channel) -> Sender:
    keys = [channel.key for channel in channels]
    times = {"clock": lambda: clocks.now, "monotonic": lambda: clocks.seconds}
    return Sender(lambda: channels, keys, HeartbeatPing(None), **times)  # type: ignore[arg-type]


def send_all(sending: Sender) -> None:
    while sending.step():
        pass


def test_a_dead_server_is_tried_less_and_less_often_and_holds_up_no_other() -> None:
    clocks, dead, well = Clocks(), Channel("dead", "no route"), Channel("well")
    sending = sender(clocks, dead, well)
    sending.put(of_user("one", START))
    for _ in range(3600):
        send_all(sending)
        clocks.seconds += 1
    assert well.tried == ["one"] and len(dead.tried) == 8
    sending.put(of_user("two", START))
    send_all(sending)
    assert well.tried == ["one", "two"]
    dead.problem = None
    clocks.seconds += 900
    send_all(sending)
    assert dead.tried[-2:] == ["one", "two"] and sending.waiting == []


def test_after_a_day_and_beyond_a_hundred_messages_are_dropped() -> None:
    clocks, dead = Clocks(), Channel("dead", "no route")
    sending = sender(clocks, dead)
    for number in range(MOST + 5):
        sending.put(of_user(str(number), START))
    assert len(sending.waiting) == MOST and sending.waiting[0][1].body == "5"
    clocks.now += timedelta(hours=25)
    for _ in range(MOST):
        send_all(sending)
        clocks.seconds += 900
    assert sending.waiting == []


def test_the_worker_waits_neither_for_a_server_nor_at_its_end() -> None:
    blocked = Channel("blocked")
    blocked.blocked.clear()
    sending = sender(Clocks(), blocked)
    sending.start()
    sending.put(of_user("one", START))
    wait(lambda: blocked.tried, "the first try")
    sending.put(of_user("two", START))
    sending.stop(0.0)
    assert [message.body for _, message in sending.waiting] == ["one", "two"]
    assert all(loop.thread.daemon for loop in sending._loops), "the interpreter does not wait for them"
    blocked.blocked.set()
    for loop in sending._loops:
        loop.thread.join()
    assert blocked.tried == ["one", "two"] and sending.waiting == []


def test_a_server_that_never_answers_holds_up_no_other_channel_and_no_ping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clocks, well, fetched = Clocks(), Channel("well"), list[str]()
    with tarpit() as port, server() as answering:
        urls = f"mailto://tom:secret@example.org:{port}?smtp=127.0.0.1&mode=insecure", answering.url
        ping = HeartbeatPing("https://example.org", lambda url: fetched.append(url))
        channels = [*open_all(urls), well]
        keys = [channel.key for channel in channels if not isinstance(channel, str)]
        sending = Sender(
            lambda: channels,  # type: ignore[arg-type, return-value]
            keys,
            ping,
            monotonic=lambda: clocks.seconds,
        )
        ping.note_healthy(0.0)
        sending.start()
        for text in ("one", "two", "three"):
            sending.put(of_user(text, START))
        wait(lambda: well.tried == ["one", "two", "three"], "a channel beside the one that hangs")
        wait(lambda: len(answering.messages) == 3, "a server beside the one that hangs")
        wait(lambda: fetched, "the ping")
        assert "was not taken" not in caplog.text, "the mail is still on its way"
        assert [message.body for _, message in sending.waiting] == ["one", "two", "three"]
        clocks.seconds = SLOW_SECONDS + 1
        wait(lambda: "has not answered for a minute" in caplog.text, "the line in the log")
        began = time.monotonic()
        sending.stop(0.1)
        assert time.monotonic() - began < 10
    for loop in sending._loops:
        loop.thread.join()


@contextlib.contextmanager
def tarpit() -> Iterator[int]:
    """Yield the port of a server that takes connections and does not answer until the end."""
    taken: list[socket.socket] = []

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


def test_a_channel_that_fails_oddly_ends_neither_the_thread_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good = Channel("good")
    sending = sender(Clocks(), good)
    calls = iter([True])
    deliver = sending._deliver

    def fail_once(*what: Any) -> None:
        if next(calls, False):
            raise RuntimeError("odd")
        deliver(*what)

    monkeypatch.setattr(sending, "_deliver", fail_once)
    sending.start()
    sending.put(of_user("one", START))
    wait(lambda: good.tried, "the message after the error")
    sending.stop(60)
    assert "alerts: unexpected error" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "mailto://tom:hunter2@example.org:1?smtp=127.0.0.1&mode=insecure",
        "tgram://123456789:hunter2hunter2hunter2hunter2hunter2hu/42",
        "json://127.0.0.1:1/hunter2",
    ],
)
def test_no_secret_of_a_url_is_in_a_log_or_a_reason(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (channel,) = open_all((url,))
    assert not isinstance(channel, str)
    if not url.startswith("tgram"):  # nothing outside this machine is asked
        problem = channel.send(of_user("one", START))
        assert problem and "hunter2" not in problem
    said = [record.getMessage() for record in caplog.records if record.name != "urllib3.connectionpool"]
    assert "hunter2" not in " ".join(said) + repr(channel) + channel.place + channel.key


def test_a_url_that_apprise_does_not_know_is_named_by_its_place() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.root.addHandler(handler)
    try:
        with pytest.raises(SettingsError) as refused:
            check(("json://127.0.0.1", "hunter2://hunter3", "tgram://hunter4"))
    finally:
        logging.root.removeHandler(handler)
    places = [line.split(": ")[0] for line in str(refused.value).splitlines()]
    assert places == ["notify.urls.1", "notify.urls.2"]
    said = str(refused.value) + log.getvalue()
    assert "hunter3" not in said and "hunter4" not in said
