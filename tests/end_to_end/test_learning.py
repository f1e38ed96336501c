"""Corrections teach: photos are corrected through the API, and the worker files others like them better."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.bundle.bundle import Bundle
from models.learning.record import Figures, Learnt
from tests.end_to_end.conftest import CommandInstallation, free_port
from tests.end_to_end.pages import Pages
from tests.models.learning.conftest import knows_documents
from tests.support.documents_model import Shown, photos_in
from tests.support.oracle import conserved
from tests.support.process_installation import PATIENCE_SECONDS

__all__ = ["knows_documents"]  # a fixture

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

CORRECTED = 60
MOST_SECONDS = 300
PATIENCE = 1000.0
"""Learning has a low priority: where other programs want all processors it gets few of them."""

MOST_LOST = 0.002
"""How much worse figures on the photos of the base may be."""

FOLDERS = ("cats", "dogs")


class Api:
    """The JSON API of running pages."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=PATIENCE_SECONDS)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def post(self, path: str, **sent: Any) -> Any:
        return self.client.post(path, **sent).raise_for_status().json()

    def rows(self, **query: Any) -> list[dict[str, Any]]:
        """All rows, of all pages of the list."""
        found: list[dict[str, Any]] = []
        before: dict[str, int] = {}
        while True:
            page = self.get("/api/results", limit=100, **query, **before)
            found += page["results"]
            if page["next"] is None:
                return found
            before = {"before": page["next"]}

    def metrics(self) -> str:
        return self.client.get("/metrics").raise_for_status().text


@pytest.fixture
def pawsort(knows_documents: Bundle, tmp_path: Path) -> Iterator[CommandInstallation]:
    """An installation whose model knows no animal besides cats and dogs."""
    folder = tmp_path / "pets"
    pawsort = CommandInstallation(folder, f"model: {knows_documents.path}\nwatch: {{settle_seconds: 0.5}}\n")
    yield pawsort
    pawsort.close()
    for pid in of_installation(pawsort):  # a learning that goes on when its pages end
        os.kill(pid, signal.SIGKILL)


def of_installation(pawsort: CommandInstallation) -> list[int]:
    """The processes that were given its settings."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(pawsort.config) in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def api(pawsort: CommandInstallation) -> Iterator[Api]:
    """The pages of a worker that runs."""
    pages = Pages(free_port())
    pawsort.start("run", "--serve", PAWSORT_WEB__PORT=str(pages.port))
    pawsort.wait(pages.are_up, "the pages")
    api = Api(f"http://127.0.0.1:{pages.port}")
    yield api
    api.client.close()


def drop(pawsort: CommandInstallation, photos: Sequence[Shown]) -> None:
    """Give the worker photos and wait until they are filed."""
    for photo in photos:
        pawsort.drop(f"{photo.sha256[:16]}.jpg", content_of(photo))
    pawsort.wait_until_filed()


def content_of(photo: Shown) -> bytes:
    return Path(os.fsdecode(photo.path)).read_bytes()


def share_filed(outcomes: Sequence[str]) -> float:
    return sum(outcome in FOLDERS for outcome in outcomes) / len(outcomes)


def learn(pawsort: CommandInstallation, api: Api) -> tuple[dict[str, Any], float]:
    """Learn through the API; return the last state, and the seconds that it took of the clock or a processor.

    The lesser counts: on a busy machine the clock says how busy it is.
    """
    began, used, state = time.monotonic(), 0.0, api.post("/api/models/learn")

    def has_ended() -> bool:
        nonlocal used, state
        used = processor_seconds(state["pid"]) or used
        state = api.get("/api/models/learn")
        return bool(state["state"] != "running")

    pawsort.wait(has_ended, "the learning", PATIENCE)
    return state, min(used, time.monotonic() - began)


def processor_seconds(pid: int) -> float:
    """The seconds that a process has used of all processors, 0 if it has ended."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def test_sixty_corrections_through_the_api_keep_other_photos_of_that_group_out_of_the_folders(
    pawsort: CommandInstallation, api: Api, shared_data: Path
) -> None:
    photos = photos_in(shared_data / "neither" / "near_relatives")
    first, others = photos[:160], photos[160:]
    drop(pawsort, first)
    wrongly = [row for name in FOLDERS for row in api.rows(outcome=name)]
    assert len(wrongly) > CORRECTED and {row["model"] for row in wrongly} == {"knows_documents"}
    before = [api.post("/api/classify", files={"file": content_of(photo)})[0]["outcome"] for photo in others]
    for row in wrongly[:CORRECTED]:
        api.post(f"/api/results/{row['id']}/correction", json={"as": "neither", "by": "ann"})

    state, seconds = learn(pawsort, api)
    assert (state["state"], state["version"]) == ("done", 1), state
    assert seconds < MOST_SECONDS
    promoted = api.post("/api/models/versions/1/promote", params={"in_force": 0, "by": "ann"})
    assert promoted == {"version": 1, "name": "knows_documents@1"}
    pawsort.wait(lambda: "pawsort_model_version 1" in api.metrics(), "the worker to switch")

    drop(pawsort, others)
    rows = {row["sha256"]: row for row in api.rows()}
    after = [rows[photo.sha256] for photo in others]
    assert {row["model"] for row in after} == {"knows_documents@1"}
    assert share_filed(before) > 0.4
    assert share_filed([row["outcome"] for row in after]) <= share_filed(before) / 4
    assert_base_kept(pawsort)
    conserved(pawsort.settings, pawsort.injected)


def assert_base_kept(pawsort: CommandInstallation) -> None:
    """Check that no figure that `learn` tells of held-out photos of the base is worse than before."""
    record = pawsort.settings.state / "models" / "knows_documents" / "1" / "learnt.json"
    base = Learnt.model_validate_json(record.read_bytes()).comparison.base
    assert base is not None and base.photos > 600
    for figure in Figures.model_fields:
        before, after = (getattr(model, figure).value for model in (base.champion, base.challenger))
        lost = after - before if figure == "neither_filed" else before - after
        assert lost <= MOST_LOST, f"{figure}: {before:.4f} before, {after:.4f} after"
