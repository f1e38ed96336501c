"""The pages below a path and behind a reverse proxy, and what a visitor could say in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.types import Scope

from pipeline.settings.sections import WebSettings
from pipeline.web.public_address import PublicAddress
from pipeline.web.views.rendering import STATIC
from pipeline.web.views.urls import PREFIX
from tests.pipeline.web.conftest import ADDRESS, HTML, TestClient, client_of, made_app
from tests.pipeline.web.middleware.conftest import TOKEN
from tests.support.installation import Installation

SAME = {"Sec-Fetch-Site": "same-origin"}
SITE = {"Sec-Fetch-Site": "same-site"}
"""What a browser says, and no script of a page can: the same host and port, or the same host at least."""

PAGES = ("/", "/review", "/review?many=1", "/check", "/browse", "/today", "/reports", "/models", "/login",
         "/models/cats_dogs", "/files/1", "/browse/view/1", "/nowhere", "/browse?name=zanzibar")  # fmt: skip
LINK = re.compile(r"""\b(?:href|src|action|formaction|hx-[a-z-]+)=["'](/[^"']*)""")


@pytest.fixture
def below(pawsort: Installation) -> Iterator[TestClient]:
    """Pages below /pets, with a photo."""
    pawsort.file(b"a.jpg", outcome="uncertain", prediction="cat", confidence=0.4)
    with client_of(pawsort, base_path="/pets") as client:
        yield client


def seen(web: WebSettings, client: str, path: str = "/browse", **headers: str) -> Scope:
    """Return the scope of a request of `client` as the pages see it."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": raw, "scheme": "http"}
    return PublicAddress(lambda *_: None, web)._seen({**scope, "client": (client, 5)})  # type: ignore[arg-type,return-value]


# --- below a path ---


def test_every_link_of_every_page_begins_with_the_path(below: TestClient) -> None:
    for page in PAGES:
        links = LINK.findall(below.get(f"/pets{page}", headers=HTML).text)
        assert len(links) > 10
        assert [link for link in links if not link.startswith("/pets/")] == [], page


@pytest.mark.parametrize(
    ("files", "bare"),
    [
        ("templates/*.html", r"""\b(?:href|src|action|formaction|hx-[a-z-]+)=["']/"""),
        ("static/*.js", r"""(?<!pawsort\.url\()(?<!post\()["'`]/[a-z?]"""),
    ],
)
def test_no_template_and_no_script_has_an_address_without_the_path(files: str, bare: str) -> None:
    texts = {path.name: path.read_text("utf-8") for path in STATIC.parent.glob(files)}
    found = {name: re.findall(f".*{bare}.*", text) for name, text in texts.items()}
    assert texts and not any(found.values()), found


def test_redirects_stay_below_the_path(below: TestClient) -> None:
    for path, form in [("/review/answer", {"label": "dog", "file": "1:0"}), ("/name", {"next": "/check"})]:
        answer = below.post(f"/pets{path}", data=form, headers=HTML, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/pets/")
    slash = below.get("/pets/browse/?name=a", headers=HTML, follow_redirects=False)
    assert (slash.status_code, slash.headers["location"]) == (307, "/pets/browse?name=a")


def test_sign_in_below_a_path_keeps_page_and_query_and_a_cookie_for_that_path(pawsort: Installation) -> None:
    with client_of(pawsort, base_path="/pets", token=TOKEN) as client:
        asked = client.get("/pets/browse?name=%C3%A4&low=4", headers=HTML, follow_redirects=False)
        assert asked.headers["location"] == "/pets/login?next=/browse%3Fname%3D%25C3%25A4%26low%3D4"
        form = {"token": TOKEN, "next": "/browse?name=%C3%A4&low=4"}
        answer = client.post("/pets/login", data=form, follow_redirects=False)
        assert answer.headers["location"] == "/pets/browse?name=%C3%A4&low=4"
        assert "; Path=/pets;" in answer.headers["set-cookie"]
        assert client.get("/pets/browse", headers=HTML, follow_redirects=False).status_code == 200
        out = client.post("/pets/logout", follow_redirects=False)
        assert out.headers["location"] == "/pets/login" and "Path=/pets;" in out.headers["set-cookie"]


def test_the_document_of_the_api_names_the_path(below: TestClient) -> None:
    assert below.get("/pets/api/openapi.json").json()["servers"] == [{"url": "/pets"}]


def test_a_path_is_answered_with_its_prefix_and_without(below: TestClient) -> None:
    for path in ("/pets/healthz", "/healthz"):
        assert below.get(path).json() == {"status": "ok"}
    assert below.get("/pets", headers=HTML).text == below.get("/pets/", headers=HTML).text
    assert below.get("/petshop", headers=HTML).status_code == 404


# --- behind a proxy ---


def test_a_trusted_proxy_says_client_scheme_and_path() -> None:
    said = {"x_forwarded_for": "198.51.100.7", "x_forwarded_proto": "https", "x_forwarded_prefix": "/pets/"}
    scope = seen(WebSettings(), "127.0.0.1", "/pets/browse", **said)
    assert (scope["client"][0], scope["scheme"]) == ("198.51.100.7", "https")
    assert (scope[PREFIX], scope["path"], scope["raw_path"]) == ("/pets", "/browse", b"/browse")


@pytest.mark.fault(104)
def test_what_a_visitor_says_of_itself_is_not_believed() -> None:
    said = {"x_forwarded_for": "127.0.0.1", "x_forwarded_proto": "https", "x_forwarded_prefix": "/pets",
            "x_forwarded_host": "evil.example"}  # fmt: skip
    web = WebSettings(host="0.0.0.0", token=TOKEN, proxies=("10.0.0.0/8",))
    scope = seen(web, "192.0.2.66", **said)
    assert scope["client"][0] == "192.0.2.66"
    assert (scope["scheme"], scope[PREFIX], scope["headers"]) == ("http", "", [])
    assert seen(web, "10.1.2.3", **said)[PREFIX] == "/pets"


@pytest.mark.fault(113)
@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("1.1.1.1, 198.51.100.7", "198.51.100.7"),  # what stands before may be invented
        ("198.51.100.7, 127.0.0.1", "198.51.100.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("198.51.100.7:443", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("nonsense", "127.0.0.1"),
        ("198.51.100.7, <script>", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_one_that_no_proxy_is(said: str, client: str) -> None:
    assert seen(WebSettings(), "127.0.0.1", x_forwarded_for=said)["client"][0] == client


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/\\evil", "https://evil.example", "evil", "/a/../b", "/%2f", '/"><b>',
               "/a//b", "/a;Path=/", "/a b", "/" + "x" * 300, "/."]
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_no_prefix(prefix: str) -> None:
    assert seen(WebSettings(), "127.0.0.1", x_forwarded_prefix=prefix)[PREFIX] == ""
    with pytest.raises(ValueError, match="expected a path such as /pets"):
        WebSettings(base_path=prefix)


def test_the_path_of_the_settings_cannot_be_replaced() -> None:
    scope = seen(WebSettings(base_path="/pets"), "127.0.0.1", x_forwarded_prefix="/cats")
    assert scope[PREFIX] == "/pets"


@pytest.fixture
def proxied(pawsort: Installation) -> Iterator[TestClient]:
    """Pages that a proxy on this machine asks."""
    web = WebSettings(token=TOKEN, hosts=("a.example",))
    app = made_app(pawsort.settings.model_copy(update={"web": web}))
    with TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 5)) as client:
        yield client


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_after_tls_cookies_are_for_tls_only(proxied: TestClient, scheme: str, secure: bool) -> None:
    headers = {"X-Forwarded-Proto": scheme}
    answer = proxied.post("/login", data={"token": TOKEN}, headers=headers, follow_redirects=False)
    assert ("; Secure" in answer.headers["set-cookie"]) is secure


@pytest.mark.fault(105)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "a.example", "Origin": "https://a.example"}, 303),
        ({"Host": "a.example:443", "Origin": "https://a.example"}, 303),
        ({"Host": "a.example", "Origin": "https://a.example:8443", **SAME}, 303),  # nginx's $host
        ({"Host": "127.0.0.1:8420", "Origin": "https://a.example", **SAME}, 303),  # nginx's $proxy_host
        ({"Origin": "http://a.example:81", "X-Forwarded-Host": "a.example:81"}, 303),
        ({"Host": "a.example", "Origin": "https://a.example:8443"}, 403),  # another program's?
        ({"Origin": "https://a.example:8443"}, 403),
        ({"Origin": "https://evil.example", **SAME}, 403),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, 403),
        ({"Host": "evil.example", "X-Forwarded-Host": "a.example", **SAME}, 421),
        ({"Host": "a.example", "Origin": "https://a.example:1", **SITE}, 403),
    ],
)  # fmt: skip
def test_posts_of_these_pages_are_accepted_whatever_host_the_proxy_passes(
    proxied: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = proxied.post("/login", data={"token": TOKEN}, headers=headers, follow_redirects=False)
    assert answer.status_code == status
