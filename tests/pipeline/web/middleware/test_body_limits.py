"""Bodies of all shapes, sent to every address that takes one: refused in our words, whatever the framing."""

from __future__ import annotations

import json

import httpx
import pytest

from pipeline.web.middleware.body_limits import SMALL_BODY
from tests.pipeline.web.conftest import TestClient

FORMS = ("/login", "/name", "/review/answer", "/review/undo", "/files/1/correct", "/today/retry")
UPLOADS = ("/try", "/try/heat", "/api/classify", "/api/inbox")
JSON = "/api/results/1/correction"
PLAIN = "application/x-www-form-urlencoded"


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", FORMS)
def test_no_form_takes_more_than_it_needs(visitor: TestClient, path: str) -> None:
    answer = visitor.post(path, content=b"x" * (SMALL_BODY + 1), headers={"Content-Type": PLAIN})
    assert answer.status_code in (400, 413), answer.text


@pytest.mark.fault(107)
def test_no_json_is_larger_than_it_needs(visitor: TestClient) -> None:
    answer = visitor.post(JSON, content=b" " * (SMALL_BODY + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("path", UPLOADS)
def test_where_files_come_they_may_be_larger_than_a_form(visitor: TestClient, path: str) -> None:
    files = {"photo": ("a.jpg", b"x" * 2 * SMALL_BODY)}  # in a field of another name, so no model is woken
    assert visitor.post(path, files=files).status_code in (422, 503)  # 503: there is no inbox


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", FORMS + UPLOADS)
@pytest.mark.parametrize(
    "boundary",
    ["b" * 257, "b" * 5000, "b" * 30_000, '""', "", "\xe4", "b;b", '"b', "b\x7f", "=", "'", "b=b;boundary=c"],
)
def test_an_odd_boundary_is_refused_and_no_defect(visitor: TestClient, path: str, boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}".encode("latin-1")
    answer = visitor.post(path, content=b"--b\r\n\r\n--b--\r\n", headers={b"Content-Type": kind})
    refused(answer)


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", FORMS + UPLOADS)
@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name=""; filename="x"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name*=utf-8\'\'%ff; filename*=x\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="label"; filename="x"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=x\r\n\r\n\xff',
        b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 20_000 + b'"\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\n" + b"X: y\r\n" * 2000 + b"\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 2000 + b"--b--\r\n",
        b"--c--",
        b"\0" * 5000,
    ],
)  # fmt: skip
def test_an_odd_form_is_refused_and_no_defect(visitor: TestClient, path: str, body: bytes) -> None:
    refused(visitor.post(path, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}))


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("kind", ["multipart/form-data", "Multipart/Form-Data ", "multipart/form-data;x=y"])
def test_a_form_without_files_never_reaches_the_parser_of_forms_with_files(
    visitor: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    # It decodes by any codec that the client names: punycode takes seconds, and unknown names stay in memory.
    made: list[object] = []
    monkeypatch.setattr("starlette.requests.MultiPartParser", lambda *args, **_: made.append(args))
    body = b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n-' + b"b" * 900 + b"\r\n--b--\r\n"
    kinds = {"Content-Type": f"{kind};boundary=b;charset=punycode"}
    answer = visitor.post(path, content=body, headers=kinds, follow_redirects=False)
    assert answer.status_code == 415 and PLAIN in answer.text
    assert made == []


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "body", [b"&" * 5000, b"a=b&" * 5000, b"%", b"=", b"token=%00", b"\xff=\xff", b"a;b"]
)
def test_an_odd_urlencoded_form_is_refused_and_no_defect(visitor: TestClient, path: str, body: bytes) -> None:
    refused(visitor.post(path, content=body, headers={"Content-Type": PLAIN}, follow_redirects=False))


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"as":' * 30_000, b"1" * 5000, b"\xff", b"{", b'{"as": "\\ud800"}', b"null"]
)
def test_odd_json_is_refused_and_no_defect(visitor: TestClient, body: bytes) -> None:
    answer = visitor.post(JSON, content=body, headers={"Content-Type": "application/json"})
    refused(answer)
    members = {"type", "title", "status", "detail", "error", "what_to_do"}
    assert set(json.loads(answer.content)) - {"errors"} == members


def refused(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert answer.status_code != 200 or "Sign in" not in answer.text
