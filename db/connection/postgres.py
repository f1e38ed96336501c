"""Code for PostgreSQL alone: the engine, what a worker sees of the tables, and the locks of workers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL

from db.connection.errors import DatabaseReserved, translated
from db.connection.session_locks import WORKERS, SessionLocks
from db.schema.worker_tables import FIRST, workers

# Without these, a lost connection would block the worker until TCP gives up.
_TIMEOUTS = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip

# Else the server keeps the session of a machine that lost its power, and the lock of its worker, for hours.
_KEEP_ALIVE = "tcp_keepalives_idle=20", "tcp_keepalives_interval=5", "tcp_keepalives_count=4"

CHECK_SECONDS = 1.0
"""How often a worker asks whether its lock still holds."""

_SCHEMA = int.from_bytes(b"pawsort", "big")
"""Key of the advisory lock of who makes or migrates the tables."""

_DRAWS = int.from_bytes(b"pawdraw", "big")
"""Key of the advisory lock of who records a draw of spot checks."""

OWNER = "pawsort_worker"
"""The execution option of an engine that says whose rows it has."""

# Where a name has no schema, PostgreSQL looks among temporary objects first, unless the path names them.
_TEMPORARY_FIRST = (
    "SELECT set_config('search_path', string_agg(quote_ident(name), ', ' ORDER BY place), false) "
    "FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place) WHERE name NOT LIKE 'pg_temp%'"
)

# A view of one table takes writes as the table does. Being temporary, these hide the tables; each session has
# its own, which end with it.
_VIEWS = (
    "CREATE TEMPORARY VIEW files AS SELECT * FROM {schema}.files WHERE worker_id = {worker}",
    "ALTER VIEW pg_temp.files ALTER COLUMN worker_id SET DEFAULT {worker}",
    "CREATE TEMPORARY VIEW moves AS SELECT * FROM {schema}.moves WHERE EXISTS "
    "(SELECT FROM {schema}.files WHERE files.id = moves.file_id AND files.worker_id = {worker})",
)


def make_engine(address: URL, read_only: bool, busy_seconds: float, worker: int | None = None) -> Engine:
    """Return an engine whose transactions wait up to `busy_seconds` for a lock.

    With a `worker`, they see and make rows of its files alone: a statement that does not ask whose a file is
    cannot touch that of another machine. The view `results` and all other tables are the same for everyone.
    """
    options = [f"lock_timeout={int(busy_seconds * 1000)}", "timezone=UTC", *_KEEP_ALIVE]
    if read_only:
        options.append("default_transaction_read_only=on")
    settings = " ".join(f"-c {option}" for option in options)
    # The server may restart while the worker runs, so a connection is tested before it is used.
    engine = create_engine(
        address,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"options": settings, **_TIMEOUTS},
        execution_options={} if worker is None else {OWNER: worker},
    )
    if worker is not None:
        event.listen(engine, "connect", partial(_show_own, worker))
    return engine


def owner_of(engine: Engine) -> int:
    """Return the id of the worker whose files alone an engine has; of any other engine, the first's."""
    return int(engine.get_execution_options().get(OWNER, FIRST))


def _show_own(worker: int, connection: Any, _record: object) -> None:
    """Hide the tables behind views of the worker's rows, for one session."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ WRITE")  # views are made in sessions that only read, too
        cursor.execute(_TEMPORARY_FIRST)
        # Of the schema that has the tables, which need not be the first of the search path.
        cursor.execute("SELECT relnamespace::regnamespace FROM pg_class WHERE oid = to_regclass('files')")
        for (schema,) in cursor.fetchall():  # none before the tables are made
            for statement in _VIEWS:
                cursor.execute(statement.format(schema=schema, worker=int(worker)))
    connection.commit()


def lock_schema(connection: Connection) -> None:
    """Wait until no other makes or migrates tables or registers a worker; until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA)))


def lock_draws(connection: Connection) -> None:
    """Wait until no other machine records a draw of spot checks; held until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_DRAWS)))


class _Reservation:
    """The advisory lock of a worker on the database at `where`; it ends with its session."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._locks = SessionLocks(engine, (WORKERS, owner_of(engine)))
        self._where = where
        self._checked = time.monotonic()
        self._token = self._find_token()  # before it has the lock: who takes it over meanwhile is noticed
        self._refuse_another(self._locks.take())

    def check(self) -> None:
        """Take the lock again if the server has ended its session; asked about each CHECK_SECONDS.

        Raises DatabaseReserved if another worker has it now, or has taken over its place since,
        DatabaseUnavailable.
        """
        if time.monotonic() < self._checked + CHECK_SECONDS:
            return
        self._refuse_another(self._locks.hold())
        if self._find_token() != self._token:
            raise DatabaseReserved(
                f"another machine has taken over the place of this worker in the database {self._where}, by "
                "`pawsort workers --take-over`; give this one another name by `worker:` in the settings"
            )
        self._checked = time.monotonic()

    def free(self) -> None:
        """Free the lock."""
        self._locks.free()

    def _refuse_another(self, is_held: bool) -> None:
        if not is_held:
            raise DatabaseReserved(
                f"another worker uses the database {self._where} under the same name, or with a copy of this "
                "state folder; stop it first"
            )

    def _find_token(self) -> str | None:
        """Return of which state folder the worker is; only another one that takes over changes it."""
        one = select(workers.c.token).where(workers.c.id == owner_of(self._engine))
        with translated(self._where), self._engine.connect() as connection:
            token: str | None = connection.scalar(one)
            return token


_reservations: weakref.WeakKeyDictionary[Engine, _Reservation] = weakref.WeakKeyDictionary()


@contextmanager
def reserved(engine: Engine, where: str) -> Iterator[None]:
    """Hold the advisory lock of the worker of `engine` on the database at `where`.

    Raises DatabaseReserved if another has it.
    """
    reservation = _reservations[engine] = _Reservation(engine, where)
    try:
        yield
    finally:
        del _reservations[engine]
        reservation.free()


def assert_reserved(engine: Engine) -> None:
    """Take the lock of `reserved` again if the server has lost it; raises DatabaseReserved."""
    if reservation := _reservations.get(engine):
        reservation.check()
