"""Files that bring a decoder down in earnest, before a real worker with a real child."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK

pytestmark = pytest.mark.timeout(300)
CGROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group whose members have 300 MB of memory between them."""
    group = CGROUPS / "pawsort-fault"
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(300 << 20))
    except OSError as error:
        pytest.skip(f"no control group of memory here: {error}")
    yield group
    end = time.monotonic() + 10.0
    while group.exists() and time.monotonic() < end:
        with contextlib.suppress(OSError):  # its last member is just dying
            group.rmdir()
        time.sleep(0.01)


@pytest.fixture
def impatient(tmp_path: Path, fork_server: ForkServer) -> Iterator[ForkedInstallation]:
    """An installation where a file gets one chance alone, of three seconds."""
    text = QUICK.replace("size: 4", "size: 64") + "limits: {attempts: 1, decode_seconds: 3}\n"
    with ForkedInstallation(tmp_path, fork_server, text) as pawsort:
        yield pawsort


@pytest.mark.fault(50, 52, 53)
def test_the_culprits_fail_alone_and_their_neighbours_are_filed(
    cgroup: Path, impatient: ForkedInstallation
) -> None:
    pawsort = impatient
    for number in range(61):
        pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
    for name in ("crash", "hang", "eat"):
        pawsort.drop(f"{name}.jpg", f"<{name}>".encode())
    worker = pawsort.start(child=True, cgroup=str(cgroup))
    pawsort.wait_until_filed(seconds=90.0)
    assert worker.state not in "XZ", "the worker itself lives"
    failed = dict(pawsort.rows("name, reason", "outcome = 'failed'"))
    assert failed == {"crash.jpg": "decoder_crashed", "hang.jpg": "timeout", "eat.jpg": "decoder_crashed"}
    assert "SIGSEGV" in pawsort.log
    assert "SIGKILL" in pawsort.log, "the kernel took the child for the memory"
    assert len(pawsort.rows("id", "outcome = 'cats'")) == 61
    pawsort.ends_well()


@pytest.mark.fault(54, 55)
def test_poison_that_kills_the_worker_at_every_start_fails_in_the_end(pawsort: ForkedInstallation) -> None:
    pawsort.drop("poison.jpg", b"<parent>")
    deaths = 0
    while pawsort.start(child=True, once=True).wait(60.0) == -signal.SIGKILL:
        deaths += 1
        assert deaths <= pawsort.settings.limits.attempts, "a loop of crashes"
    assert deaths == pawsort.settings.limits.attempts
    assert pawsort.rows("outcome, reason") == [("failed", "decoder_crashed")]
    pawsort.ends_well()
