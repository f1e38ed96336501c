"""The last answers that a browser gave, kept in its cookie, so that leaving a page does not lose the undo.

Each answer names the files that it settled as `ID:VERSION`; a file that was changed since has another
version, and its answer is not offered any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import Request, Response

from pipeline.web.middleware.problems import Problem
from pipeline.web.services import corrections
from pipeline.web.services.context import AppContext

COOKIE = "pawsort_answers"
DAY_SECONDS = 24 * 3600

MOST = 20
"""Answers that can be taken back, one after the other."""

LONGEST = 3_500
"""Characters of the cookie; browsers drop one of more than 4,096 bytes."""

Answers = list[list[str]]
"""Oldest first; each the files of one answer."""


def read(text: str) -> Answers:
    """Read answers out of `ID:VERSION.ID:VERSION-ID:VERSION`."""
    return [part.split(".") for part in text.split("-") if part]


def written(answers: Iterable[Sequence[str]]) -> str:
    """Write answers for `read`: the last ones, as many as fit into a cookie."""
    parts = [".".join(files) for files in answers][-MOST:]
    while len("-".join(parts)) > LONGEST:
        del parts[0]
    return "-".join(parts)


def given(request: Request, context: AppContext) -> Answers:
    """Return the answers of this browser without those at the end whose files were all changed since."""
    answers = read(request.cookies.get(COOKIE, ""))
    while answers and not _stands(context, answers[-1]):
        del answers[-1]
    return answers


def keep(request: Request, response: Response, answers: Answers) -> None:
    """Leave answers in the browser's cookie, which no script can read."""
    how = {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}
    response.set_cookie(COOKIE, written(answers), max_age=DAY_SECONDS, **how)  # type: ignore[arg-type]


def without(answers: Answers, files: Sequence[str]) -> Answers:
    """Return the answers but the last one of exactly these files."""
    for number in reversed(range(len(answers))):
        if answers[number] == list(files):
            return answers[:number] + answers[number + 1 :]
    return answers


def _stands(context: AppContext, files: Sequence[str]) -> bool:
    try:
        known = corrections.seen(files)
    except Problem:
        return False  # somebody wrote the cookie
    now = corrections.now(context, [file.id for file in known])
    return any(file == seen for file, seen in zip(now, known, strict=True))
