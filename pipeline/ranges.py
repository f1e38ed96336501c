"""Limits of values in settings, commands and URLs: those of the kernel, databases and Python's calendar.

`config` has the types of settings from here, and the messages for values that are none of them; `cli.options`
makes types of options from the limits, `web.routes.parameters` types of parameters.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from models import plain_yaml
from pipeline.control_characters import CONTROL

LARGEST_INTEGER = 2**63 - 1
"""The largest integer of a database column."""

NAME_BYTES = 255
"""Maximum size of the name of a file or folder; the kernel's."""

PATH_BYTES = 3_500
"""Maximum size of the path of a folder; the kernel's is 4,095, for the files in it too."""

# Days before and after, in any time zone, must exist too.
FIRST_DAY = date(2, 1, 1)
LAST_DAY = date(9998, 12, 31)


def to_utc(moment: datetime) -> datetime:
    """Return a time in UTC; a naive one is UTC. Raises ValueError outside the years 2 to 9998."""
    within(moment.date())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def within(day: date) -> date:
    """Return `day`. Raises ValueError outside the years 2 to 9998."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"expected a year from {FIRST_DAY.year} to {LAST_DAY.year}")
    return day


def _without_control(text: str) -> str:
    """Return `text`. Raises ValueError if it has control characters or half a character."""
    if CONTROL.search(text) or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("expected text without control characters")
    return text


def _folder(path: Path) -> Path:
    try:
        name = os.fsencode(path.expanduser())
    except (UnicodeError, RuntimeError):  # half a character; the home of an unknown user
        raise ValueError("expected the path of a folder") from None
    if CONTROL.search(os.fsdecode(name)):
        raise ValueError("expected the path of a folder, without control characters")
    if max(map(len, name.split(b"/"))) > NAME_BYTES:
        raise ValueError(f"expected the path of a folder; its longest name has more than {NAME_BYTES} bytes")
    return path


def _model(name: str) -> str:
    _folder(Path(_without_control(name)))
    return name


def _known_timezone(name: str) -> str:
    try:
        usable = name in available_timezones() and bool(ZoneInfo(name))
    except (ValueError, OSError):
        usable = False
    if not usable:
        raise ValueError("expected a name of the IANA time zone database, such as UTC or Europe/Berlin")
    return name


def _host_address(host: str) -> str:
    try:
        usable = is_address(host) or (":" not in host and _is_name(host.encode("idna").decode()))
    except UnicodeError:
        usable = False
    if not usable:
        raise ValueError("expected a name or address of a host, without a port")
    return host


def _host_name(host: str) -> str:
    if not (is_address(host) or _is_name(host)):
        raise ValueError("expected the name of a host as browsers send it, such as pets.example.org")
    return host


def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def canonical_host(host: str) -> str:
    """Return a host as browsers send it: lower case, ASCII, no final dot, an address in its shortest form."""
    plain = host.removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        pass
    try:
        return plain if plain.isascii() else plain.encode("idna").decode()
    except UnicodeError:
        return plain


def is_loopback_host(host: str) -> bool:
    """Return whether a host is `localhost` or an address that only this machine reaches."""
    plain = canonical_host(host)
    if plain == "localhost" or not is_address(plain):
        return plain == "localhost"
    address = ipaddress.ip_address(plain)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_name(host: str) -> bool:
    return len(host) <= NAME_BYTES and re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", host) is not None


Words = Annotated[str, AfterValidator(_without_control)]
"""Text of a setting."""

ModelName = Annotated[str, AfterValidator(_model)]
"""The name or the path of a model."""

PatternText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_without_control)]
"""A shell pattern."""

Folder = Annotated[Path, AfterValidator(_folder)]
"""The path of a folder, which need not exist."""

FilingAction = Literal["move", "copy", "hardlink", "symlink"]
"""How a file is taken from its inbox; with all but `move` the original stays as it is."""

TimeZone = Annotated[str, AfterValidator(_known_timezone)]
"""A name of the IANA time zone database."""

TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day, HH:MM."""

HostAddress = Annotated[str, AfterValidator(_host_address)]
"""The name or address that a server listens on."""

HostName = Annotated[str, AfterValidator(_host_name)]
"""A host name or address as it is in a Host header, without a port."""

# A header loses outer blanks, and the head of a request is limited.
Token = Annotated[
    str,
    Field(min_length=16, max_length=4096, pattern=r"^\S(.*\S)?$"),
    AfterValidator(_without_control),
]
"""A token, as a header can have it."""


def no_boolean(value: object) -> object:
    """Return `value`. Raises ValueError for a boolean: no setting is one, and it would count as 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("expected no true, false, yes, no, on or off")
    return value


HIDDEN = ("base", "inbox_actions")
"""Fields of the settings that no file and no variable may set."""


class Section(BaseModel):
    """A section of the settings: frozen, without unknown keys, and without booleans for numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _booleans = field_validator("*", mode="before")(no_boolean)


class InboxSettings(Section):
    """A watched folder; `action` is None if it is that of all inboxes."""

    path: Folder
    action: FilingAction | None = None


class FilingSettings(Section):
    """How files are taken from the inboxes that do not say it themselves.

    `companions`: files that belong to a photo, such as sidecars, are moved with it.
    """

    action: FilingAction = "move"
    companions: bool = True

    _booleans = field_validator("action", mode="before")(no_boolean)


def _outcome(name: str) -> str:
    """Return the name of a folder in `sorted`, which may be written with that before it."""
    folder = name.removeprefix("sorted/")
    _folder(Path(_without_control(folder)))
    if not folder or "/" in folder or folder.startswith(".") or folder in ("failed", "duplicates"):
        raise ValueError("expected the name of a folder in `sorted`, such as uncertain or neither")
    return folder


class OutcomeSettings(Section):
    """Where photos go that have no class: `neither` is the folder of those that a person called so."""

    neither: Annotated[str, AfterValidator(_outcome)] = "uncertain"


def inbox_of(number: int, item: Any) -> tuple[Any, FilingAction | None]:
    """Return the path and the action of one item of `inboxes`. Raises ValidationError."""
    if not isinstance(item, dict):
        return item, None
    try:
        inbox = InboxSettings.model_validate(item)
    except ValidationError as error:
        problems = [_within(("inboxes", number), problem) for problem in error.errors()]
        raise ValidationError.from_exception_data("Settings", problems) from error
    return inbox.path, inbox.action


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
}
"""Messages for kinds of errors, where pydantic's own speak of classes."""


def explain(path: Path, error: ValidationError, model: type[BaseModel], prefix: str) -> str:
    """Return a line for each wrong value of the settings file `path`, or of a variable with this prefix."""
    return "\n".join(_explain_one(path, problem, model, prefix) for problem in error.errors())


def _explain_one(path: Path, problem: ErrorDetails, model: type[BaseModel], prefix: str) -> str:
    keys = [str(part) for part in problem["loc"]]
    where, source = ".".join(keys), str(path)
    variable = prefix + "__".join(keys).upper()
    if variable in os.environ:
        source = f"environment variable {variable}"
    if problem["type"] == "extra_forbidden":
        return f"{source}: {where}: unknown key; known: {', '.join(siblings(model, keys))}"
    expected = EXPECTED.get(problem["type"], problem["msg"])
    if keys[-1] in ("token", "database"):  # a log must not have a password
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


def known_settings(model: type[BaseModel]) -> list[str]:
    """Return the names of the settings of a section."""
    return [name for name in model.model_fields if name not in HIDDEN]
