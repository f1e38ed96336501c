"""An installation with a small model, its pages, and people who judge photos."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.learning import versions
from pipeline.learning.learning_process import LearningProcess
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import QUICK, Installation
from tests.support.learnt_records import stand_in
from tests.support.model_versions import small_bundle

FORM = {**HTML, "Origin": "http://127.0.0.1:8420"}


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose model is a small bundle."""
    small_bundle(tmp_path / "models" / "pets")
    pawsort = Installation(tmp_path, QUICK + "model: pets\n")
    yield pawsort
    pawsort.close()


@pytest.fixture
def client(pawsort: Installation) -> Iterator[TestClient]:
    with client_of(pawsort) as client:
        yield client


def judge(pawsort: Installation, count: int, first: int = 0) -> list[int]:
    """File photos and confirm or correct each; return their ids."""
    ids = []
    for number in range(first, first + count):
        ids.append(pawsort.file(b"%d.jpg" % number, b"%d" % number))
        pawsort.correct(b"cats/%d.jpg" % number, label="dog" if number % 2 else "cat")
    return ids


def text_of(client: TestClient, path: str = "/models") -> str:
    """The words of a page, with single spaces and without tags."""
    response = client.get(path, headers=HTML)
    assert response.status_code == 200, response.text
    return plain(response.text)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("&#34;", '"').replace("&#39;", "'").split())


def post(client: TestClient, path: str, **form: object) -> Any:
    return client.post(path, data=form, headers=FORM, follow_redirects=False)


def in_force(pawsort: Installation) -> str:
    return versions.chain(versions.family(pawsort.settings))[0].name


def learns(client: TestClient, pawsort: Installation, *how: str) -> LearningProcess:
    """Let the pages learn by a stand-in."""
    process = LearningProcess(pawsort.settings.state, stand_in(pawsort.config, *how))
    context = client.app.state.context  # type: ignore[attr-defined]
    client.app.state.context = replace(context, learning=process)  # type: ignore[attr-defined]
    return process


def has_ended(process: LearningProcess) -> bool:
    status = process.status()
    ended = status is not None and status.state != "running"
    return ended and not process._is_alive()  # so that nothing is left of it after the test


def beat(pawsort: Installation, **changes: object) -> None:
    now = datetime.now(UTC)
    values = {"pid": os.getpid(), "started_at": now, "at": now, "state": "watching", "health": "ok"}
    found = Heartbeat(**{**values, **changes})  # type: ignore[arg-type]
    found.write(pawsort.settings.state / heartbeat.FILE_NAME)


# --- how many answers, and how many more ---
