"""HEAD on a server with sockets: answered at once, without a body, and the connection stays usable."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.support.live_server import PATIENCE, doubtful, running

REPORT = "summary-2026-11-21.csv"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pawsort = doubtful(tmp_path_factory.mktemp("head"))
    pawsort.settings.reports.mkdir(exist_ok=True)
    (pawsort.settings.reports / REPORT).write_text("inbox,outcome,images\n" + "/a,cats,1\n" * 100_000)
    with running(pawsort.settings) as address:
        yield address
    pawsort.close()


@pytest.mark.parametrize(
    "path", ["/pictures/1/small", "/pictures/2/large", f"/reports/{REPORT}", "/browse", "/static/pawsort.css"]
)
def test_head_is_answered_on_a_connection_that_goes_on(address: str, path: str) -> None:
    line = HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE)
    first, got, last = (ask(line, method, path) for method in ("HEAD", "GET", "HEAD"))
    line.close()
    assert got[0] == 200 and got[1] == len(got[2]) > 0
    assert first == last == (200, got[1], b"")


def ask(line: HTTPConnection, method: str, path: str) -> tuple[int, int, bytes]:
    """Return status, stated length and body."""
    line.request(method, path, headers={"Accept": "text/html"})
    answer = line.getresponse()
    return answer.status, int(answer.headers["Content-Length"]), answer.read()
