"""A test of a worker that has ended does not wait in vain."""

from __future__ import annotations

import pytest

from tests.support.forked_installation import ForkedInstallation


def test_waiting_for_workers_that_have_ended_fails_at_once_with_their_log(
    pawsort: ForkedInstallation,
) -> None:
    (pawsort.folder / "config.yaml").write_text("inboxes: {}\n", encoding="utf-8")
    worker = pawsort.start()
    assert worker.wait() == 2
    with pytest.raises(AssertionError, match=r"ended before 1 files:\npawsort: .*inboxes"):
        pawsort.wait_until_filed(1, seconds=20.0)


def test_what_the_last_worker_did_counts_after_its_end(pawsort: ForkedInstallation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    assert pawsort.run_once() == 0
    pawsort.wait_until_filed()
