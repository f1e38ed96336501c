"""Column types: convert values between Python and the database."""

from __future__ import annotations

import datetime as dt
import os
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from db.schema.file_names import RawName, escape, unescape

T = TypeVar("T")

# SQLite generates ids only for a column declared INTEGER, which has 64 bits there.
ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class _AsText(TypeDecorator[T], Generic[T]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else self.write(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:  # noqa: ARG002
        return None if value is None else self.read(value)

    def write(self, value: T) -> str:
        """Return the text that is stored for `value`."""
        raise NotImplementedError

    def read(self, text: str) -> T:
        """Return the value that was stored as `text`."""
        raise NotImplementedError


class Name(_AsText[RawName]):
    """A file name or path: bytes in Python, the readable form of `db.schema.file_names` in the database."""

    cache_ok = True

    def write(self, value: RawName) -> str:
        """Escape the bytes."""
        return escape(value)

    def read(self, text: str) -> RawName:
        """Unescape to bytes."""
        return unescape(text)


class Folder(_AsText[str]):
    """A name or path as `os.fsdecode` spells it, stored like a `Name` so that the two can be joined."""

    cache_ok = True

    def write(self, value: str) -> str:
        """Escape the name's bytes."""
        return escape(os.fsencode(value))

    def read(self, text: str) -> str:
        """Return the name as `os.fsdecode` does."""
        return os.fsdecode(unescape(text))


class Words(_AsText[str]):
    """Text from a file or a decoder; NUL and lone surrogates, which databases refuse, are escaped."""

    cache_ok = True

    def write(self, value: str) -> str:
        """Escape irreversibly what cannot be stored."""
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")

    def read(self, text: str) -> str:
        """Return the stored text."""
        return text


class ExactInt(_AsText[int]):
    """An integer of any size, as decimal text, compared for equality only.

    Device and inode numbers fill 64 bits unsigned on some network and FUSE mounts, and nanoseconds since 1970
    exceed 63 bits in the year 2262, which a camera's clock may show: a column of 64 bits signed would refuse
    the whole batch.
    """

    cache_ok = True

    def write(self, value: int) -> str:
        """Write the digits."""
        return str(value)

    def read(self, text: str) -> int:
        """Read the digits."""
        return int(text)


class UtcTime(TypeDecorator[dt.datetime]):
    """A moment: an aware datetime in Python, in UTC when read; a naive one raises ValueError.

    Stored as timestamptz; in SQLite, which has no such type, as text like `2026-11-21T06:52:51.000000Z`,
    whose fixed width makes the order of texts the order of time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose text if the database has no type with a time zone."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> Any:
        """Convert a written value to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a datetime with a time zone, received {value!r}")
        moment = value.astimezone(dt.UTC)
        return _text_of(moment) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Convert a read value to UTC."""
        if value is None:
            return None
        moment: dt.datetime = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(dt.UTC)


@lru_cache(maxsize=16)  # one moment is written in each row of a batch
def _text_of(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
