"""A ledger on SQLite, and the same on PostgreSQL where its server is installed."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from db.connection.engine import open_database, upgrade, writing
from db.ledger.ledger import FileDecision, Ledger, SettledFile
from tests.support.postgres_server import PostgresServer, programs

SPOOL = b"/state/spool"
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

_database = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL, without a database, of a PostgreSQL server that lives as long as the tests."""
    if programs() is None:
        pytest.skip("PostgreSQL is not here: no /usr/lib/postgresql/*/bin")
    with PostgresServer() as server:
        yield server.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/pawsort.db"


def create_database(server_url: str) -> str:
    """Make a database beside the others of a server; return its URL."""
    name = f"test{next(_database)}"
    server = create_engine(f"{server_url}/postgres", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    server.dispose()
    return f"{server_url}/{name}"


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """The URL of a new, empty database."""
    return create_database(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database that is not made yet, of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
def sqlite_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished database to copy, because the migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("made") / "pawsort.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_made(postgres: str) -> str:
    """The URL of a finished database, emptied for each test, which is quicker than making one."""
    url = create_database(postgres)
    upgrade(url)
    return url


def emptied(url: str) -> Engine:
    """Open a PostgreSQL database as it was when it was made."""
    engine = open_database(url)
    with writing(engine) as connection:
        filled = "files, moves, reports, requests, spot_checks, backfill_loads, workers"
        connection.exec_driver_sql(f"TRUNCATE {filled} RESTART IDENTITY")
        connection.exec_driver_sql("INSERT INTO workers (name) VALUES (NULL)")
    return engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_made'), tmp_path)}")
    else:
        engine = emptied(request.getfixturevalue("postgres_made"))
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, SPOOL)


def later(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def claim(
    name: bytes = b"a.jpg", *, ino: int = 1, seen_at: dt.datetime = NOON, inbox: str = "/in"
) -> SettledFile:
    return SettledFile(inbox, name, dev=7, ino=ino, bytes=1000, mtime_ns=5, seen_at=seen_at)


def verdict(id: int, **changes: object) -> FileDecision:
    values = {
        "id": id, "outcome": "cats", "prediction": "cat", "confidence": 0.99, "reason": None, "detail": None,
        "scores": {"cat": 0.99, "dog": 0.01}, "destination": b"/sorted/cats/%d.jpg" % id, "format": "JPEG",
        "width": 640, "height": 480, "taken_at": None, "sha256": f"{id:064x}", "model": "cats_dogs",
        "model_sha256": "b" * 64, "duplicate_of": None,
    }  # fmt: skip
    return FileDecision(**{**values, **changes})  # type: ignore[arg-type]


def filed(
    ledger: Ledger, name: bytes = b"a.jpg", at: dt.datetime = NOON, ino: int = 1, **changes: object
) -> int:
    """Take a file all the way; return its id."""
    [ticket] = ledger.claim([claim(name, ino=ino, seen_at=at)], at)
    ledger.decide([verdict(ticket.id, **changes)], at)
    ledger.file([ticket.id], at)
    return ticket.id
