"""Messages for wrong settings: which key, its value and what was expected."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from models import plain_yaml
from pipeline.settings.ranges import FilingAction
from pipeline.settings.sections import InboxSettings, known_settings


def inbox_of(number: int, item: Any) -> tuple[Any, FilingAction | None, str | None]:
    """Return the path, the action and the share of one item of `inboxes`. Raises ValidationError."""
    if not isinstance(item, dict):
        return item, None, None
    try:
        inbox = InboxSettings.model_validate(item)
    except ValidationError as error:
        problems = [_within(("inboxes", number), problem) for problem in error.errors()]
        raise ValidationError.from_exception_data("Settings", problems) from error
    return inbox.path, inbox.action, inbox.share


def _within(place: tuple[str | int, ...], problem: ErrorDetails) -> InitErrorDetails:
    kind: str | PydanticCustomError = problem["type"]
    if kind == "extra_forbidden":
        known = ", ".join(known_settings(InboxSettings))
        kind = PydanticCustomError("unknown_key", "unknown key; known: {known}", {"known": known})
    loc, input, ctx = (*place, *problem["loc"]), problem["input"], problem.get("ctx", {})
    return InitErrorDetails(type=kind, loc=loc, input=input, ctx=ctx)


EXPECTED = {
    "tuple_type": "expected a list, such as [inbox]",
    "string_type": "expected text; write it in quotes",  # YAML makes numbers of 12:30, and dates
    "path_type": "expected the path of a folder; write it in quotes",
    "model_type": "expected settings, indented below it",
    "dict_type": "expected a mapping, indented below it",
}
"""Messages for kinds of errors, where pydantic's own speak of classes."""


def explain(path: Path, error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    """Return a line for each wrong value of the settings file `path`, or of a variable with this prefix."""
    return "\n".join(_explain_one(path, problem, model, prefix) for problem in error.errors())


def _explain_one(path: Path, problem: ErrorDetails, model: type[BaseModel], prefix: str) -> str:
    keys = [str(part) for part in problem["loc"]]
    where, source = ".".join(keys), str(path)
    if not keys:  # of several settings together
        return f"{source}: {problem['msg'].removeprefix('Value error, ')}"
    variable = prefix + "__".join(keys).upper()
    if variable in os.environ:
        source = f"environment variable {variable}"
    if problem["type"] == "extra_forbidden":
        return f"{source}: {where}: unknown key; known: {', '.join(siblings(model, keys))}"
    expected = EXPECTED.get(problem["type"], problem["msg"])
    if keys[-1] in ("token", "database") or keys[0] == "notify":  # a log must not have a password
        return f"{source}: {where}: {expected}"
    return f"{source}: {where}: {expected}; got {plain_yaml.quoted(problem['input'])}"


def siblings(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """Return the names of the settings in the section of the last of `keys`."""
    section = model
    for key in keys[:-1]:
        field = section.model_fields.get(key)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return known_settings(section)
        section = field.annotation
    return known_settings(section)
