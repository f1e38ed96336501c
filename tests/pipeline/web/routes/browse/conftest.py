"""Files for Browse, and how a page names them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.installation import Installation


@pytest.fixture
def five(pawsort: Installation) -> list[int]:
    """Five photos in `uncertain`."""
    return [
        pawsort.file(b"%d.jpg" % n, b"photo %d" % n, "uncertain", reason="low_confidence") for n in range(5)
    ]


def chosen(ids: Sequence[int], version: int = 0) -> list[str]:
    """Return the values of checkboxes."""
    return [f"{id}:{version}" for id in ids]
