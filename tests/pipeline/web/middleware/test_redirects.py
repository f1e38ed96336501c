"""The sign-in form leads to pages of this server only."""

from __future__ import annotations

import pytest

from pipeline.web.middleware.redirects import own_path


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "x",
        "",
        "/a\nb",
        "/\t/evil.example",
        "\\/evil",
        "/%5cevil.example",
        "/%5C%5Cevil",
        "/%2fevil.example",
        "/%2Fevil",
        "/%252fevil",
        "/%255cevil",
        "/%09/evil",
        "/%0d%0aSet-Cookie:x=1",
        "/\x00",
        "/%00",
        "javascript:alert(1)",
        " //evil",
        "/\u202eevil",
        "/a\\b",
        "/" + "x" * 3000,
        "///evil",
        "/.//evil",
        "/a/..//evil",
        "/browse?a=\nb",
        "/browse?a=\x7f",
    ],
)
def test_the_form_leads_to_no_other_place(path: str) -> None:
    assert own_path(path) == "/"
