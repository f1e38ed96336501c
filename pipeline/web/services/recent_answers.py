"""The recent corrections of a browser, kept in a cookie, so that they can be undone after leaving the page.

Each lists the files that it corrected as `ID:VERSION`; once a file has another version, its correction is no
longer offered for undo.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Sequence

from fastapi import Request, Response

from pipeline.web.middleware.cookies import cookies, set_cookie
from pipeline.web.middleware.problems import Problem
from pipeline.web.services import correct_files
from pipeline.web.services.context import AppContext

COOKIE = "pawsort_answers"
"""How the name of the cookie begins; the whole name in earlier versions."""

DAY_SECONDS = 24 * 3600

MOST = 20
"""Corrections that can be undone, one after the other."""

LONGEST = 3_500
"""Maximum length of the cookie; browsers drop cookies of more than 4,096 bytes."""

Answers = list[list[str]]
"""Oldest first; each item lists the files of one correction."""

_WRITTEN_HERE = re.compile(r"[0-9]{1,18}:[0-9]{1,18}([.-][0-9]{1,18}:[0-9]{1,18})*")


def from_text(text: str) -> Answers:
    """Parse corrections from `ID:VERSION.ID:VERSION-ID:VERSION`."""
    return [part.split(".") for part in text.split("-") if part]


def to_text(answers: Iterable[Sequence[str]]) -> str:
    """Return the text for `from_text`: the newest corrections, as many as fit into a cookie."""
    parts = [".".join(files) for files in answers][-MOST:]
    while len("-".join(parts)) > LONGEST:
        del parts[0]
    return "-".join(parts)


def names(context: AppContext) -> tuple[str, str]:
    """Return the name of the cookie, and the one that it had in earlier versions.

    Browsers send cookies to every port of a host, and the same numbers mean other files in another
    installation.
    """
    place = f"{socket.gethostname()}:{context.settings.state}"
    return f"{COOKIE}_{hashlib.sha256(os.fsencode(place)).hexdigest()[:10]}", COOKIE


def of_cookie(request: Request, context: AppContext) -> Answers:
    """Return the corrections in the cookie of this browser, also those whose files have changed since.

    A cookie that this server has not written is ignored: other programs on this host may set one too.
    """
    own, earlier = names(context)
    for text in cookies(request.headers, own) or cookies(request.headers, earlier):
        if len(text) <= LONGEST and _WRITTEN_HERE.fullmatch(text):
            return from_text(text)[-MOST:]
    return []


def of_browser(request: Request, context: AppContext) -> Answers:
    """Return the corrections of this browser, without the newest ones whose files have all changed since."""
    answers = of_cookie(request, context)
    while answers and not _can_be_undone(context, answers[-1]):
        del answers[-1]
    return answers


def keep(request: Request, context: AppContext, response: Response, answers: Answers) -> None:
    """Set the cookie, which scripts cannot read."""
    name, _ = names(context)
    set_cookie(request, response, name, to_text(answers), DAY_SECONDS)


def without(answers: Answers, files: Sequence[str]) -> Answers:
    """Return the corrections without the newest one of exactly these files."""
    for number in reversed(range(len(answers))):
        if answers[number] == list(files):
            return answers[:number] + answers[number + 1 :]
    return answers


def _can_be_undone(context: AppContext, files: Sequence[str]) -> bool:
    try:
        known = correct_files.parse_versions(files)
    except Problem:
        return False  # the cookie was not written by this server
    now = correct_files.current(context, [file.id for file in known])
    if now == known:
        return True
    return any(file == seen for file, seen in zip(now, correct_files.standing(context, known), strict=True))
