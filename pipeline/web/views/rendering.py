"""Render Jinja templates as pages; every value is escaped."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from pipeline.logs import printable
from pipeline.reasons import brief, why
from pipeline.requests.asking import wanted
from pipeline.web.views.decision_text import shown_of
from pipeline.web.views.formatting import moment, moment_of, named, percent, size, stage, time_left, with_code
from pipeline.web.views.urls import url_of

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"


def render(request: Request, template: str, **values: Any) -> HTMLResponse:
    """Return a template as a response; it gets `request`, `context`, `path` (of the request) and `values`.

    Its links are `url("/browse")`: only so do they work behind a reverse proxy.
    """
    context = request.app.state.context
    page = _environment.get_template(template)
    # Called only where a page shows files, and once for all of them.
    machines = cache(context.worker_names)
    given = {"request": request, "context": context, "path": request.scope["path"], "machines": machines}
    return HTMLResponse(page.render(url=partial(url_of, request), **given, **values))


def compile_all() -> None:
    """Compile every template, so that no first request waits for it."""
    for name in _environment.list_templates():
        _environment.get_template(name)


_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# File names may contain characters that change the writing direction; `shown` makes these visible.
_environment.filters.update(percent=percent, moment=moment, size=size, shown=printable)
_environment.filters.update(shown_of=shown_of)
_environment.filters.update(wanted=wanted)
_environment.filters.update(moment_of=moment_of, stage=stage, time_left=time_left)
_environment.filters.update(named=named, why=why, brief=brief, with_code=with_code)
