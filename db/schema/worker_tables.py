"""The tables of many workers on one database, and of what a backfill has loaded."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from sqlalchemy import JSON, ForeignKey, Integer, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.schema.base import Base, index
from db.schema.columns import ROW_ID, UtcTime, Words

FIRST = 1
"""The id of the first worker: of the only one of SQLite, and of rows from before there could be many."""

IS_OPEN = "done_at IS NULL"


class WorkerRow(Base):
    """A worker: the machine that owns rows of files. The first has the id 1, and no name until it starts.

    `token` is that of its state folder, so that another machine of the same name is refused. `address` is
    that of its pages, `heartbeat` what `state/heartbeat.json` has, both as of `beat_at`; on SQLite, which
    has one worker, only the name is written. `stopped_at` is set when it ended in order. On a server all
    moments are by its clock. `silence_said_at` is when an alert said that it is silent, until another says
    that this is over. `retired_at` is set when a person said that it is gone for good, until it starts again.
    """

    __tablename__ = "workers"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str | None] = mapped_column(Words)
    token: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    beat_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    stopped_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    address: Mapped[str | None] = mapped_column(Words)
    heartbeat: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    silence_said_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    retired_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)

    __table_args__ = (index("ix_workers_name", "name", unique=True),)


class RequestRow(Base):
    """What a person on another machine asked the owner of a file to do; its worker carries it out.

    `label` is that of a correction; `seen_version` the number of the last move of the file that the person
    saw, 0 for none. Once done, `problem` says why nothing was changed, and is NULL if it was.
    """

    __tablename__ = "requests"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    worker_id: Mapped[int] = mapped_column(Integer)
    file_id: Mapped[int] = mapped_column(ForeignKey("files.id"))
    kind: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Words)
    by: Mapped[str] = mapped_column(Words)
    via: Mapped[str] = mapped_column(Text)
    seen_version: Mapped[int] = mapped_column(ROW_ID)
    asked_at: Mapped[dt.datetime] = mapped_column(UtcTime)
    done_at: Mapped[dt.datetime | None] = mapped_column(UtcTime)
    problem: Mapped[str | None] = mapped_column(Words)

    __table_args__ = (
        index("ix_requests_open", "worker_id", where=IS_OPEN),
        index("ix_requests_file_id", "file_id"),
        # One open request for a file.
        index("ix_requests_pending", "file_id", where=IS_OPEN, unique=True),
        index("ix_requests_refused", "done_at", where="problem IS NOT NULL"),
        {"sqlite_autoincrement": True},
    )


class LoadRow(Base):
    """A part of a backfill whose rows are in `files`; written in their transaction.

    `run` is the SHA-256 of its `run.json`, with " filed" behind it if its photos are filed, but " begun"
    until each of them is taken. `rows` and `loaded_at` are of the first try.
    """

    __tablename__ = "backfill_loads"

    run: Mapped[str] = mapped_column(Text, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    rows: Mapped[int] = mapped_column(Integer)
    loaded_at: Mapped[dt.datetime] = mapped_column(UtcTime)


workers = cast(Table, WorkerRow.__table__)
requests = cast(Table, RequestRow.__table__)
backfill_loads = cast(Table, LoadRow.__table__)
