"""Try: what is on this photo, and what would the worker do with it? Nothing is stored."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.web.rendering import render
from pipeline.web.site import Page

router = APIRouter(include_in_schema=False)
PAGE = Page("Try", "/", 10)


@router.get("/")
def page(request: Request) -> Response:
    """Show the page."""
    return render(request, "try.html")
