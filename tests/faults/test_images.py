"""Files that bring a decoder down in earnest, before a real worker with a real child."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_site import Site
from tests.support.forked_worker import SETTINGS, Nursery

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
def impatient(tmp_path: Path, nursery: Nursery) -> Iterator[Site]:
    """A site where a file gets one chance alone, of three seconds."""
    text = SETTINGS.replace("size: 4", "size: 64") + "limits: {attempts: 1, decode_seconds: 3}\n"
    with Site(tmp_path, nursery, text) as site:
        yield site


@pytest.mark.fault(50, 52, 53)
def test_the_culprits_fail_alone_and_their_neighbours_are_filed(cgroup: Path, impatient: Site) -> None:
    site = impatient
    for number in range(61):
        site.drop(f"{number}.jpg", b"%d<cat>" % number)
    for name in ("crash", "hang", "eat"):
        site.drop(f"{name}.jpg", f"<{name}>".encode())
    life = site.start(child=True, cgroup=str(cgroup))
    site.wait_until_filed(seconds=90.0)
    assert life.state not in "XZ", "the worker itself lives"
    failed = dict(site.rows("name, reason", "outcome = 'failed'"))
    assert failed == {"crash.jpg": "decoder_crashed", "hang.jpg": "timeout", "eat.jpg": "decoder_crashed"}
    assert "SIGSEGV" in site.log
    assert "SIGKILL" in site.log, "the kernel took the child for the memory"
    assert len(site.rows("id", "outcome = 'cats'")) == 61
    site.ends_well()


@pytest.mark.fault(54, 55)
def test_poison_that_kills_the_worker_at_every_start_fails_in_the_end(site: Site) -> None:
    site.drop("poison.jpg", b"<parent>")
    deaths = 0
    while site.start(child=True, once=True).wait(60.0) == -signal.SIGKILL:
        deaths += 1
        assert deaths <= site.settings.limits.attempts, "a loop of crashes"
    assert deaths == site.settings.limits.attempts
    assert site.rows("outcome, reason") == [("failed", "decoder_crashed")]
    site.ends_well()
