"""A picture that says on which machine a photo is, for one that cannot be read from here."""

from __future__ import annotations

from html import escape

KIND = "image/svg+xml"

_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240" width="320" height="240" role="img">
<title>{title}</title>
<rect width="320" height="240" fill="#8882"/>
<g font-family="sans-serif" text-anchor="middle" fill="#888">
<text x="160" y="112" font-size="18">on {name}</text>
<text x="160" y="140" font-size="13">its pages are not reachable</text>
</g>
</svg>
"""


def placeholder(name: str, why: str) -> bytes:
    """Return an SVG image that names the worker `name`, and `why` its photo is not shown as its title."""
    return _SVG.format(name=escape(name[:40]), title=escape(why)).encode("utf-8", "replace")


def wants_placeholder(accept: str) -> bool:
    """Return whether a request is for an image of a page: browsers say that they take SVG there."""
    return KIND in accept
