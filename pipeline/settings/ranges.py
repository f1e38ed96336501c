"""Limits of values in settings, commands and URLs: those of the kernel, databases and Python's calendar.

`config` has the types of settings from here, and the messages for values that are none of them; `cli.options`
makes types of options from the limits, `web.routes.parameters` types of parameters.
"""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field

from pipeline.control_characters import CONTROL

LARGEST_INTEGER = 2**63 - 1
"""The largest integer of a database column."""

NAME_BYTES = 255
"""Maximum size of the name of a file or folder; the kernel's."""

PATH_BYTES = 3_500
"""Maximum size of the path of a folder; the kernel's is 4,095, for the files in it too."""

PREFIX_LETTERS = 200
"""Maximum length of the path below which the pages are."""

# Browsers resolve the segments `.` and `..`, and read `//` as a host.
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")

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


def _absolute_folder(path: Path) -> Path:
    if not _folder(path).is_absolute():
        raise ValueError("expected the path of a folder on that machine, beginning with /")
    return path


def _model(name: str) -> str:
    _folder(Path(_without_control(name)))
    return name


def folder_in_sorted(name: str) -> str:
    """Return the name of a folder in `sorted`, which may be written with that before it."""
    folder = name.removeprefix("sorted/")
    _folder(Path(_without_control(folder)))
    if not folder or "/" in folder or folder.startswith(".") or folder in ("failed", "duplicates"):
        raise ValueError("expected the name of a folder in `sorted`, such as uncertain or neither")
    return folder


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


def _proxy(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address)) if "/" in address else str(ipaddress.ip_address(address))
    except ValueError:
        raise ValueError("expected an address, or a network such as 172.16.0.0/12") from None


def _base_path(path: str) -> str:
    if path and not is_path_prefix(path):
        raise ValueError("expected a path such as /pets, of letters, digits and . _ ~ -, not ending in /")
    return path


def is_path_prefix(path: str) -> bool:
    """Return whether a path has only characters without a meaning in HTML, cookies and redirects."""
    return len(path) <= PREFIX_LETTERS and _PREFIX.fullmatch(path) is not None


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


def _hours(text: str) -> str:
    begin, _, end = text.partition("-")
    if begin == end:
        raise ValueError("expected two different times, such as 22:00-07:00")
    return text


def _notification_url(url: str) -> str:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", _without_control(url)):
        raise ValueError("expected a URL of Apprise, such as mailto://user:password@example.org")
    return url


def _share(text: str) -> str:
    number, _, total = text.partition("/")
    digits = [part.isascii() and part.isdigit() and len(part) < 5 for part in (number, total)]
    if not all(digits) or not 1 <= int(number) <= int(total):
        raise ValueError("expected a part such as 1/3: the first of three")
    return f"{int(number)}/{int(total)}"


def _web_url(url: str) -> str:
    try:
        parts = urlsplit(_without_control(url))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or " " in url:
        raise ValueError("expected a URL that begins with https:// or http://")
    return url


Words = Annotated[str, AfterValidator(_without_control)]
"""Text of a setting."""

WorkerName = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The name of a worker."""

InboxShare = Annotated[str, AfterValidator(_share)]
"""Which of how many parts of an inbox, such as `1/3`."""

ModelName = Annotated[str, AfterValidator(_model)]
"""The name or the path of a model."""

PatternText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_without_control)]
"""A shell pattern."""

Folder = Annotated[Path, AfterValidator(_folder)]
"""The path of a folder, which need not exist."""

AbsoluteFolder = Annotated[Path, AfterValidator(_absolute_folder)]
"""The same, as it is called on another machine."""

FilingAction = Literal["move", "copy", "hardlink", "symlink"]
"""How a file is taken from its inbox; with all but `move` the original stays as it is."""

TimeZone = Annotated[str, AfterValidator(_known_timezone)]
"""A name of the IANA time zone database."""

TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day, HH:MM."""

Hours = Annotated[
    str,
    Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"),
    AfterValidator(_hours),
]
"""Hours of each day, HH:MM-HH:MM; they may pass midnight."""

NotificationUrl = Annotated[str, Field(max_length=4096), AfterValidator(_notification_url)]
"""A URL of a notification service, in the form that Apprise reads; it has secrets."""

WebUrl = Annotated[str, Field(max_length=4096), AfterValidator(_web_url)]
"""A URL that is fetched by HTTP; it may have secrets."""

HostAddress = Annotated[str, AfterValidator(_host_address)]
"""The name or address that a server listens on."""

HostName = Annotated[str, AfterValidator(_host_name)]
"""A host name or address as it is in a Host header, without a port."""

ProxyAddress = Annotated[str, AfterValidator(_proxy)]
"""The address of a reverse proxy, or a network that has such."""

BasePath = Annotated[str, AfterValidator(_base_path)]
"""The path below which the pages are, such as `/pets`; empty for `/`."""

# A header loses outer blanks, and the head of a request is limited.
Token = Annotated[
    str,
    Field(min_length=16, max_length=4096, pattern=r"^\S(.*\S)?$"),
    AfterValidator(_without_control),
]
"""A token, as a header can have it."""
